"""The demo's Slurm: a whole cluster on one machine, which the tests use too.

`running_cluster` starts MariaDB, munge, slurmdbd, slurmctld, slurmrestd and three slurmd below one
folder, with the demo's people as POSIX users and their proposals as accounts. It needs root and
the Debian packages `hub.demo.slurm.release.PACKAGES`.
"""

from hub.demo.slurm.cluster import SlurmCluster, running_cluster
from hub.demo.slurm.control import DAEMONS
from hub.demo.slurm.release import SlurmDemoError

__all__ = ["DAEMONS", "SlurmCluster", "SlurmDemoError", "running_cluster"]
