"""A private PostgreSQL cluster: its own folder, its own unix socket, by default no port, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg

from tests.support.required import require

_NAMES = count(1)


def programs() -> Path | None:
    """Folder with ``initdb`` and ``postgres`` of the newest version; Debian keeps them off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@dataclass(frozen=True, slots=True)
class Served:
    """Where others connect: by TLS, with passwords. ``certificate`` is one for ``address``."""

    address: str
    port: int
    certificate: Path
    key: Path


class Cluster:
    """A running cluster; who may enter its folder can connect without a password."""

    def __init__(self, sockets: Path, port: int = 5432) -> None:
        self._sockets = sockets
        self._port = port

    def new_database(self) -> str:
        """SQLAlchemy URL of a new, empty database."""
        name = f"panhub_{next(_NAMES)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://panhub@/{name}?host={self._sockets}"

    def connect(self, database: str) -> psycopg.Connection:
        """Plain connection, each statement committed."""
        return psycopg.connect(
            host=str(self._sockets), port=self._port, user="panhub", dbname=database, autocommit=True
        )


@contextmanager
def cluster(*, is_durable: bool = False, served: Served | None = None) -> Iterator[Cluster]:
    """Run a cluster. ``is_durable`` waits for the disk at each commit, as in production."""
    bin_folder = programs()
    require(bin_folder, "PostgreSQL (Debian package postgresql)")
    assert bin_folder is not None
    folder = Path(tempfile.mkdtemp(prefix="panhub-pg-"))
    user = _unprivileged()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        options = ["-U", "panhub", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        _run_as(user, [bin_folder / "initdb", "-D", folder / "data", *options], cwd=folder).wait_ok()
        command = [bin_folder / "postgres", "-D", folder / "data", "-k", folder]
        command += _listening(served, folder, user)
        if not is_durable:
            command += ["-c", "fsync=off", "-c", "synchronous_commit=off"]
        server = _run_as(user, command, cwd=folder)
        try:
            _wait_until_it_answers(server, ready := Cluster(folder, served.port if served else 5432))
            yield ready
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listening(served: Served | None, folder: Path, user: pwd.struct_passwd | None) -> list[str | Path]:
    """Arguments, after its files are written; PostgreSQL takes no key that others could read."""
    if served is None:
        return ["-c", "listen_addresses="]
    (folder / "data/pg_hba.conf").write_text("local all all trust\nhostssl all all all scram-sha-256\n")
    for name, source in (("server.crt", served.certificate), ("server.key", served.key)):
        target = folder / "data" / name
        shutil.copy(source, target)
        target.chmod(0o600)
        if user is not None:
            os.chown(target, user.pw_uid, user.pw_gid)
    return ["-c", f"listen_addresses={served.address}", "-c", f"port={served.port}", "-c", "ssl=on"]


class _Child:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def wait_ok(self) -> None:
        if self.process.wait(timeout=120):
            raise RuntimeError(f"{self.process.args!r} failed:\n{self.log()}")

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        # SIGINT is PostgreSQL's fast shutdown: it ends its clients and writes all.
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _run_as(user: pwd.struct_passwd | None, command: list[str | Path], *, cwd: Path) -> _Child:
    log = cwd / "log"
    identity = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            **identity,
        )
    return _Child(process, log)


def _unprivileged() -> pwd.struct_passwd | None:
    """The user to run as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _wait_until_it_answers(server: _Child, ready: Cluster) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            ready.connect("postgres").close()
        except psycopg.OperationalError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{server.log()}") from None
            time.sleep(0.05)
        else:
            return
