"""A real desktop (Xvnc, window manager) in a folder, as a session has it, without a session."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spawners.session import desktop
from tests.support.required import require

SUPERVISOR = Path(desktop.__file__)
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class RunningDesktop:
    """``socket`` speaks RFB; programs reach the screen by `environment`."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> Path:
        """Socket of the RFB protocol."""
        return self.folder / "rfb"

    @property
    def password(self) -> str:
        """Password of VncAuth."""
        return (self.folder / "password").read_text(encoding="ascii")

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a program of a test draws on it."""
        display = (self.folder / "display").read_text(encoding="ascii")
        return {"DISPLAY": display, "XAUTHORITY": str(self.folder / "Xauthority")}


@contextmanager
def running_desktop(
    folder: Path, *, width: int = 800, height: int = 600, words: tuple[str, ...] = ()
) -> Iterator[RunningDesktop]:
    """A desktop in a folder that is made; its path must be short (unix(7): 107 bytes)."""
    require(not desktop.why_not(), f"a desktop: {desktop.why_not()}")
    size = ["--width", str(width), "--height", str(height)]
    command = [sys.executable, "-I", "-S", str(SUPERVISOR), "--folder", str(folder), *size, *words]
    process = subprocess.Popen(command)
    try:
        until = time.monotonic() + _PATIENCE_S
        while not (folder / "display").exists():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"The desktop did not start: {process.returncode}")
            time.sleep(0.02)
        yield RunningDesktop(folder, process)
    finally:
        process.terminate()
        process.wait(_PATIENCE_S)
