"""Starts what the tunnel's benchmark compares, and installs the peers into ``build/peers`` when it must."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from hub.demo import install
from tests.bench import tunnel_client

ROOT = Path(__file__).parents[2]
FILES = Path(__file__).parent / "tunnel_peers"
BUILD = ROOT / "build/peers/tunnel"


@dataclass(slots=True)
class Server:
    """One that is measured. ``target`` makes what a browser asks of it for a scene."""

    name: str
    port: int
    process: subprocess.Popen[str] | None
    target: Callable[[str], str]
    is_direct: bool = False

    def connect(self, scene: str) -> tunnel_client.Client:
        """Return a browser in a scene."""
        return tunnel_client.Client(self.port, self.target(scene), is_direct=self.is_direct)

    def is_alive(self) -> bool:
        """Whether it lives."""
        return self.process is None or self.process.poll() is None

    def cpu_s(self) -> float:
        """CPU time so far [s]."""
        if self.process is None:
            return 0.0
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def rss_mib(self) -> float:
        """Memory [MiB]."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20 if self.process else 0.0

    def lag_ms(self) -> float:
        """99th percentile of the event loop's lag since the last call [ms]."""
        if self.process is None:
            return 0.0
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("lag\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


@contextmanager
def servers() -> Iterator[list[Server]]:
    """Fake guacd, direct connection, ours, guacamole-lite, guapy; all ended afterwards."""
    modules, python = peers()
    key = os.urandom(32)
    started: list[subprocess.Popen[str]] = []
    log = (BUILD / "log").open("w")  # peers complain of every browser that leaves

    def start(*command: str, env: dict[str, str] | None = None) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | (env or {}),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        started.append(process)
        assert process.stdout
        line = process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{command[-3:]} did not start")
        return process, line

    try:
        _, text = start(sys.executable, "-m", "tests.bench.tunnel_guacd")
        guacd_port = int(text)
        ports = [_free_port() for _ in range(3)]
        ours, _ = start(sys.executable, "-m", "tests.bench.tunnel_server", text, str(ports[0]))
        lite, _ = start(
            *(_node(), str(FILES / "lite.js"), text, key.hex(), str(ports[1])),
            env={"NODE_PATH": str(modules)},
        )
        guapy, _ = start(str(python), str(FILES / "guapy_server.py"), text, str(ports[2]))
        yield [
            Server("direct TCP", guacd_port, None, lambda scene: scene, is_direct=True),
            Server("ours", ports[0], ours, lambda scene: tunnel_client.path(scene=scene)),
            Server("guacamole-lite", ports[1], lite, lambda scene: f"/?token={_token(key, scene)}"),
            Server("guapy", ports[2], guapy, lambda scene: tunnel_client.path(scene=scene)),
            Server(
                "ours, viewer",
                ports[0],
                ours,
                lambda scene: tunnel_client.path(scene=scene, **{"as": "viewer"}),
            ),
        ]
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait(20)
        log.close()


def peers() -> tuple[Path, Path]:
    """Install the peers, if their locks changed; returns Node's modules and guapy's Python."""
    locks = [FILES / "package-lock.json", FILES / "requirements.lock"]
    wanted = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    stamp = BUILD / "stamp"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(BUILD, ignore_errors=True)
        BUILD.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(FILES / name, BUILD)
        npm = shutil.which("npm", path=_search_path())
        assert npm, "npm is missing"
        _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], BUILD)
        _run([sys.executable, "-m", "venv", str(BUILD / "guapy")], BUILD)
        pip = [str(BUILD / "guapy/bin/python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
        _run([*pip, "-r", str(locks[1])], BUILD)
        stamp.write_text(wanted)
    return BUILD / "node_modules", BUILD / "guapy/bin/python"


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, env=os.environ | {"PATH": _search_path()}, check=True, timeout=300)


def _search_path() -> str:
    """Node of the installation first, where it brought its own."""
    return f"{install.VENV / 'bin'}:{os.environ['PATH']}"


def _node() -> str:
    node = shutil.which("node", path=_search_path())
    assert node, "node is missing"
    return node


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _token(key: bytes, scene: str) -> str:
    """guacamole-lite's token: the connection, encrypted."""
    text = json.dumps({"connection": {"type": "vnc", "settings": {"hostname": scene}}}).encode()
    iv = os.urandom(16)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    value = encryptor.update(padder.update(text) + padder.finalize()) + encryptor.finalize()
    token = {"iv": base64.b64encode(iv).decode(), "value": base64.b64encode(value).decode()}
    quoted = base64.b64encode(json.dumps(token).encode()).decode()
    return quoted.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
