"""Whether one of Slurm's daemons answers."""

from __future__ import annotations

from spawners.outage import Outage as AnyOutage
from spawners.slurm.parse import plain
from spawners.slurm.transport import SlurmError, SlurmUnavailableError


class Outage(AnyOutage):
    """Questions to one of the daemons."""

    expected = (SlurmError, SlurmUnavailableError, TimeoutError)

    @staticmethod
    def shown(text: str) -> str:
        """On one line, without control characters."""
        return plain(text)
