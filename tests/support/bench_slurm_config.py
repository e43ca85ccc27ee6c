"""Configuration of the JupyterHub with batchspawner; read by ``jupyterhub -f``.

As ``bench_stock_config.py`` but for the spawner. Of batchspawner everything that is not set is its
default: among it a question for each job twice a second until it runs, and every 30 s from then on.
"""

import os

import batchspawner  # noqa: F401  # it adds a handler to the hub

from hub.demo.configure import HOST
from hub.demo.slurm.configuration import NODES

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # JupyterHub defines it
load_subconfig("bench_stock_config.py", os.path.dirname(__file__))  # type: ignore[name-defined]  # noqa: F821, PTH120  # so does traitlets

# SlurmSpawner with addresses for names of nodes that are none of a machine.
c.JupyterHub.spawner_class = "batchspawner.MultiSlurmSpawner"
c.MultiSlurmSpawner.daemon_resolver = dict.fromkeys(NODES, HOST)

# Cheaper than the default, sudo.
c.BatchSpawnerBase.exec_prefix = "setpriv --reuid={username} --regid={username} --init-groups --"

# What ours asks for.
c.BatchSpawnerBase.req_partition = "cpu"
c.BatchSpawnerBase.req_nprocs = "1"
c.BatchSpawnerBase.req_memory = "2048"
c.BatchSpawnerBase.req_runtime = "2:00:00"

c.Spawner.args = []
c.Spawner.cmd = ["jupyterhub-singleuser"]
c.Spawner.environment = {
    "PATH": os.environ["BENCH_PROGRAMS"],
    "PYTHONPATH": os.environ["BENCH_PACKAGES"],
    "SLURM_CONF": os.environ["SLURM_CONF"],
}

if stub := os.environ["BENCH_STUB"]:
    c.BatchSpawnerBase.batchspawner_singleuser_cmd = f"/usr/bin/python3 -I -S {stub}"
    # Saves two processes for each session, and no question.
    c.MultiSlurmSpawner.req_srun = ""
    # By default it gives up what waits in a queue for five minutes.
    c.BatchSpawnerBase.start_timeout = 3600
