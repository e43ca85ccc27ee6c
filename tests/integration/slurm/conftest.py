"""What runs against real Slurm: clusters of each release."""

from tests.support.slurm import slurm_2205, slurm_2411, slurm_2605, slurm_cluster, slurm_release

__all__ = ["slurm_2205", "slurm_2411", "slurm_2605", "slurm_cluster", "slurm_release"]
