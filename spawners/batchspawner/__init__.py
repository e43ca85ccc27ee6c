"""Sessions on batch systems without an engine of their own here, by the classes of batchspawner.

jupyterhub/batchspawner (BSD-3-Clause; optional, ``pip install panhub[batchspawner]``) knows the commands
and the answers of Torque, Moab, PBS, Slurm, Grid Engine, HTCondor and LSF. Its classes run in no hub
here: they lend their traits (``req_*``, commands, regular expressions, how a job id is read), and the
launch path stays the one of all backends.
"""
