"""The owner's side of the minder: start it, run commands in its namespaces, end it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from hub.demo.kubernetes import minder
from hub.demo.kubernetes.addresses import Addresses
from hub.demo.kubernetes.errors import KubernetesDemoError


class Namespace:
    """Network, process-id and mount namespace of a cluster (see `hub.demo.kubernetes.minder`).

    ``images`` is the folder of containerd's images, ``held`` the descriptor of a lock that the minder
    keeps until all has been removed.
    """

    def __init__(self, folder: Path, images: Path, at: Addresses, held: int) -> None:
        self._folder = folder
        self._images = images
        self._at = at
        self._held = held
        self._minder: subprocess.Popen[str] | None = None
        self._init = ""

    def start(self) -> None:
        """Make it.

        Raises
        ------
        KubernetesDemoError
            If the kernel refuses, or a program for it is missing.
        """
        settings = {
            "folder": str(self._folder),
            "images": str(self._images),
            "addresses": {
                name: getattr(self._at, name)
                for name in ("whole", "host", "node", "pods", "services", "link", "group")
            },
        }
        self._minder = subprocess.Popen(
            [sys.executable, "-I", str(Path(minder.__file__)), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            start_new_session=True,
            pass_fds=(self._held,),
        )
        assert self._minder.stdout is not None
        answer = self._minder.stdout.readline().strip()
        if not answer.isdigit():
            self.stop()
            raise KubernetesDemoError(f"The cluster's network cannot be made: {answer or 'no answer'}")
        self._init = answer

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        return self._minder is not None and self._minder.poll() is None

    def enter(self, *argv: str) -> list[str]:
        """Command that runs ``argv`` in it; it ends with it."""
        return ["nsenter", f"--target={self._init}", "--mount", "--pid", "--net", "--", *argv]

    def stop(self, timeout_s: float = 60.0) -> None:
        """End every process in it; return when it and all that belongs to it has been removed."""
        minding, self._minder = self._minder, None
        if minding is None:
            return
        assert minding.stdin is not None
        assert minding.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            minding.stdin.close()
        try:
            minding.wait(timeout_s)
        finally:
            minding.stdout.close()
