"""Slurm by its own programs. See `spawners.slurm.cli.transport`."""
