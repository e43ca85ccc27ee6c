"""Can the batch systems of batchspawner's classes be used? Nothing is asked of a scheduler."""

from __future__ import annotations

import shutil

from hub.checks.finding import Trouble
from hub.settings import Settings
from spawners.batchspawner.settings import BatchSystemSettings


def check_batchspawner(settings: Settings) -> str:
    """The classes load and know the traits that are set, and their commands are on this machine."""
    troubles = []
    for name, system in settings.batchspawner.clusters.items():
        troubles += _troubles(name, system)
    if troubles:
        mend = "Install what is missing, or correct batchspawner.clusters."
        raise Trouble("\n".join(troubles), mend)
    return f"{', '.join(settings.batchspawner.clusters)}: classes and commands are there"


def _troubles(name: str, system: BatchSystemSettings) -> list[str]:
    # Its import takes a second, which nobody without such a cluster is to wait for.
    from spawners.batchspawner.driver import BatchspawnerError, Driver

    try:
        words = Driver(name, system).programs()
    except BatchspawnerError as error:
        return [str(error)]
    path = system.environment.get("PATH")
    return [f"{name}: no program {word}" for word in words if shutil.which(word, path=path) is None]
