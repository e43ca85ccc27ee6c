"""Sessions on Slurm: transports, watcher, job, accounting. See `spawners.slurm.backend`."""
