"""The Gateway API's own definition of a route, from its Go module: what an API server checks routes by."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from hub.demo.locks import locked
from hub.demo.slurm.release import cache_folder
from tests.support.required import require_program

MODULE, VERSION = "sigs.k8s.io/gateway-api", "v1.6.3"
_SUM = "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc="
"""As in a go.sum."""

_FILE = "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"


def httproute_definition() -> dict[str, Any]:
    """Definition of HTTPRoute, of the standard channel. Blocking; fetched into the cache once."""
    folder = cache_folder()
    kept = folder / f"gateway-api-{VERSION}" / Path(_FILE).name
    with locked(folder, "gateway-api"):
        if not kept.exists():
            _fetch(kept)
    made: dict[str, Any] = yaml.load(kept.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return made


def _fetch(kept: Path) -> None:
    go = require_program("go", package="golang")
    with tempfile.TemporaryDirectory() as name:
        # A folder without a module, so that none of this checkout is asked about.
        done = subprocess.run(
            [go, "mod", "download", "-json", f"{MODULE}@{VERSION}"],
            check=False,
            capture_output=True,
            text=True,
            cwd=name,
        )
    told = json.loads(done.stdout or "{}")
    assert told.get("Sum") == _SUM, told.get("Error") or done.stderr or told
    kept.parent.mkdir(exist_ok=True)
    shutil.copy(Path(told["Dir"]) / _FILE, kept)
