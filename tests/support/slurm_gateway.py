"""The token gateway as a process and account of its own, beside a real Slurm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from hub.demo.slurm import SlurmCluster
from hub.demo.slurm.daemons import accepts_unix
from hub.demo.slurm.environment import prepare_environment
from hub.demo.slurm.people import SLURM_USER
from hub.demo.slurm.release import RELEASES

UID = 64_999
"""The gateway's own uid: an account need not exist for it."""

_CODE = Path(__file__).parents[2] / "spawners/slurm"


class GatewayProcess:
    """``panhub token-gateway`` as systemd would run it; ``uid`` is the caller's, who may ask."""

    def __init__(self, cluster: SlurmCluster, *, key_bytes: bytes | None = None, **settings: Any) -> None:
        # Not below pytest's own folder, which is closed to others.
        folder = Path(tempfile.mkdtemp(prefix="panhub-gateway-"))
        folder.chmod(0o711)
        self.folder = folder
        self.socket = folder / "run/tokens.sock"
        self.audit_file = folder / "run/audit.log"
        self.socket.parent.mkdir(exist_ok=True)
        key = folder / "jwt_hs256.key"
        key.write_bytes(cluster.jwt_key.read_bytes() if key_bytes is None else key_bytes)
        key.chmod(0o400)
        os.chown(key, UID, UID)
        os.chown(folder / "run", UID, UID)
        content = {
            "socket": str(self.socket),
            "key_file": str(key),
            "peers": [os.getuid()],
            "service_account": cluster.service_account,
            "slurm_user": SLURM_USER,
            "allow": {"groups": ["ma5501"], "people": ["yuki"]},
            "audit_file": str(self.audit_file),
            **settings,
        }
        self.config = folder / "token-gateway.yaml"
        self.config.write_text(yaml.safe_dump(content))
        self.config.chmod(0o644)
        _copy_code(folder)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> GatewayProcess:
        """Start it and wait until it listens.

        Raises
        ------
        AssertionError
            If it ends before that; what it wrote is the text.
        """
        words = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]
        python = prepare_environment(RELEASES["22.05"]).prefix / "bin/python"
        self.process = subprocess.Popen(
            [*words, str(python), "-m", "spawners.slurm.gateway", "--config", str(self.config)],
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(self.folder / "code")},
        )
        deadline = time.monotonic() + 20
        while not accepts_unix(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(self.process.communicate()[1])
            time.sleep(0.02)
        return self

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and what it wrote, after a signal."""
        assert self.process is not None
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors

    def audit(self) -> list[dict[str, Any]]:
        """Lines of the audit log."""
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]

    def remove(self) -> None:
        """Stop it if it runs, and remove its folder."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)


def _copy_code(folder: Path) -> None:
    """What the gateway is made of: its account may not be able to read the checkout."""
    code = folder / "code/spawners/slurm"
    shutil.copytree(_CODE / "gateway", code / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "transport.py", "models.py"):
        shutil.copy(_CODE / name, code / name)
    (code.parent / "__init__.py").touch()
    for path in (folder / "code", *(folder / "code").rglob("*")):
        path.chmod(0o755)  # whatever the umask is
