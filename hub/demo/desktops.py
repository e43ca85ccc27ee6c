"""Can desktops run on this machine? What the demo needs for them, made if it is missing.

A machine that lacks something runs the demo without desktops, and is told in one line what to install.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.demo.guacd import GuacdRootError, prepare_guacd
from hub.demo.install import DESKTOP_ENVIRONMENT, DESKTOP_HINT
from spawners.local.bubblewrap import probe
from spawners.session.desktop import missing


@dataclass(frozen=True, slots=True)
class Desktops:
    """What desktops run with. ``guacd_root`` is the folder with guacd; None: the system's own is taken."""

    guacd_root: Path | None

    def section(self, port: int, secrets: Path) -> dict[str, Any]:
        """The settings' section for a tunnel on ``port``, its secrets in the folder ``secrets``."""
        root = None if self.guacd_root is None else str(self.guacd_root)
        return {
            "port": port,
            "secret_file": str(secrets / "desktop"),
            "service_token_file": str(secrets / "desktop-token"),
            "key_file": str(secrets / "desktop-key.pem"),
            "guacd": {"kind": "sandbox", "root": root},
        }


def prepare_desktops(say: Callable[[str], None]) -> Desktops | None:
    """Look at this machine, and fetch guacd if it has none; None where desktops cannot run. Blocking."""
    isolation = probe("auto")
    if isolation.kind != "bubblewrap":
        say(f"no desktops: {isolation.reason} ({DESKTOP_HINT})")
        return None
    if lacking := missing():
        say(f"no desktops: {', '.join(lacking)} are not installed ({DESKTOP_HINT})")
        return None
    if not DESKTOP_ENVIRONMENT.exists():
        say(f"no desktops: their environment was left out when this was installed ({DESKTOP_HINT})")
        return None
    if shutil.which("guacd"):
        return Desktops(None)
    say("making what is missing of guacd, the desktops' protocol server")
    try:
        return Desktops(prepare_guacd())
    except GuacdRootError as error:
        say(f"no desktops: guacd cannot be had: {error}")
        return None
