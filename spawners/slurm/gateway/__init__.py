"""Token gateway: a process of its own that holds Slurm's signing key and mints short tokens.

A token signed with that key acts for whoever it names, root included, so the key is as good as root
on the cluster. The service never has it: it asks here, over a unix socket, and gets tokens for the
people on a list, for minutes. `server` is the process, `client` what the service uses.
"""
