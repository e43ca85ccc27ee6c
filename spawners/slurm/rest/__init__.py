"""Slurm by slurmrestd. See `spawners.slurm.rest.transport`."""
