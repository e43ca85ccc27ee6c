"""jupyterhub_moss' own parser of ``sinfo``, from its published package."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hub.demo.install import TOOLS
from tests.support.required import require

_FOLDER = Path(__file__).parents[2] / "build" / "peers" / "moss"


def moss_parser() -> Callable[[str], dict[str, Any]]:
    """``MOSlurmSpawner._slurm_info_resources``: from sinfo's lines to resources by partition."""
    if not (_FOLDER / "jupyterhub_moss").exists():
        _fetch()
    require((_FOLDER / "jupyterhub_moss").exists(), "jupyterhub_moss (from the package index)")
    sys.path.insert(0, str(_FOLDER))
    try:
        from jupyterhub_moss import MOSlurmSpawner
    finally:
        sys.path.remove(str(_FOLDER))
    spawner = SimpleNamespace(log=logging.getLogger("moss"))
    return lambda text: MOSlurmSpawner._slurm_info_resources(spawner, text)


def _fetch() -> None:
    """Unpack the wheel, checked by its hash; what it needs is in the developers' environment."""
    own = TOOLS / "uv/bin/uv"
    subprocess.run(
        [
            *(str(own) if own.exists() else shutil.which("uv") or "uv", "pip", "install", "-q", "--no-deps"),
            *("--python", sys.executable, "--require-hashes", "--target", str(_FOLDER)),
            *("-r", str(Path(__file__).with_name("moss.txt"))),
        ],
        check=False,
    )
