"""The demo's facility, made once for all tests and copied for each."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hub.demo.facility import make_facility
from hub.demo.install import ROOT, SESSION_ENVIRONMENT
from hub.demo.locks import locked
from tests.support.required import require

_FACILITY = ROOT / "build/tests/facility"


def copy_facility(state: Path) -> None:
    """Put the data and the catalogue of the facility into a folder that is there; what it has stays."""
    require((SESSION_ENVIRONMENT / "bin/jupyterhub-singleuser").exists(), "the notebook environment")
    # Another worker may be at it, and a copy must not meet its files half made.
    with locked(_FACILITY.parent, _FACILITY.name):
        make_facility(_FACILITY, SESSION_ENVIRONMENT / "bin/python", lambda *_: None)
        for part in ("data", "catalogue", "made-on", "data-version"):
            if not (state / part).exists():
                subprocess.run(["cp", "-a", str(_FACILITY / part), str(state / part)], check=True)
