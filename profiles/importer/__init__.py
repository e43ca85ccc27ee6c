"""From zero-to-jupyterhub or KubeSpawner to a profiles file and settings of a cluster.

A *values file* (zero-to-jupyterhub's chart) or a bare ``profile_list`` becomes *variants*: each profile
with one choice of each of its options, as traits of KubeSpawner. What a variant runs, how large it is and
where makes our environments, sizes and pools; profiles offer exactly the combinations that were offered.
What cannot be carried over is a note, and nothing is dropped without one.
"""
