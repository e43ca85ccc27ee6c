"""A gateway in this process, with a directory of accounts that the test writes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os

import pytest

from spawners.slurm.gateway.directory import DirectoryUnavailableError
from spawners.slurm.gateway.listen import listening
from spawners.slurm.gateway.policy import Entry
from spawners.slurm.gateway.server import Gateway
from spawners.slurm.gateway.settings import AllowSettings, GatewaySettings

KEY = bytes(range(32))


class Accounts:
    """Directory that knows the given accounts; one called ``hangs`` never gets an answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    async def lookup(self, name):
        self.asked.append(name)
        if self.gate is not None:
            await self.gate.wait()
        if name == "hangs":
            raise DirectoryUnavailableError
        known = {"maja": 20001, "rui": 20002, "panhub": 990, "root": 0, "slurm": 64030, "daemon": 1}
        return Entry(name, known[name]) if name in known else None


class Running:
    """A gateway that answers, and how to speak to it without the client."""

    def __init__(self, settings, directory) -> None:
        self.settings = settings
        self.directory = directory

    def audit(self):
        path = self.settings.audit_file
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    async def say(self, *lines: bytes, timeout_s: float = 5.0) -> list[bytes]:
        """What comes back on one connection whose writing end is closed after the lines."""
        reader, writer = await asyncio.open_unix_connection(self.settings.socket)
        with contextlib.suppress(OSError):
            writer.write(b"".join(lines))
            await writer.drain()
            writer.write_eof()
        try:
            return (await asyncio.wait_for(reader.read(), timeout_s)).splitlines()
        finally:
            writer.close()

    async def ask(self, user: str) -> dict:
        (line,) = await self.say(json.dumps({"user": user}).encode() + b"\n")
        return json.loads(line)


@contextlib.asynccontextmanager
async def running(tmp_path, *, idle_s=5.0, clock=None, **settings):
    values = {
        "socket": tmp_path / "tokens.sock",
        "key_file": tmp_path / "key",
        "peers": (os.getuid(),),
        "allow": AllowSettings(people=("maja", "hangs", "daemon")),
        "audit_file": tmp_path / "audit.log",
        **settings,
    }
    made = GatewaySettings(**values)
    accounts = Accounts()
    more = {"clock": clock} if clock else {}
    gateway = Gateway(made, KEY, directory=accounts, idle_s=idle_s, **more)
    stopped = asyncio.Event()
    with listening(made) as listener:
        task = asyncio.create_task(gateway.serve(listener, stopped))
        try:
            yield Running(made, accounts)
        finally:
            stopped.set()
            await task


@pytest.fixture
def start(tmp_path):
    return lambda **settings: running(tmp_path, **settings)
