"""Run Slurm's programs: argument vectors, a small environment, bounded time and output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spawners.slurm.settings import CliSettings
from spawners.slurm.transport import SlurmUnavailableError

MOST_OUTPUT = 64 * 1024 * 1024
"""`scontrol show node` says about 1 KiB per node, squeue 0.5 KiB per job."""

_MOST_ERRORS = 64 * 1024
_HELPER = Path(__file__).with_name("as_user.py")
_PYTHON = "/usr/bin/python3"
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended; ``code`` is negative where a signal ended it."""

    code: int
    out: bytes
    errors: str


class Programs:
    """Slurm's programs of one cluster.

    What the service asks is run directly if this process is the service account, and otherwise
    like a person's: behind the words of ``run_as``, by `spawners.slurm.cli.as_user`. Without such
    words everything is run as this process.
    """

    def __init__(self, settings: CliSettings, service_account: str) -> None:
        self._settings = settings
        self._service_account = service_account
        self._own = _own_name()
        self._environment = {"PATH": os.environ.get("PATH", _PATH), "TZ": "UTC0", "LC_ALL": "C.UTF-8"}
        if settings.conf is not None:
            self._environment["SLURM_CONF"] = str(settings.conf)

    async def ask(self, program: str, *arguments: str) -> Done:
        """Run a program as the service account.

        Raises
        ------
        SlurmUnavailableError
            If it cannot be run, says too much or does not end in time.
        """
        if self._is_own(self._service_account):
            return await self._run([self._path(program), *arguments], b"", _MOST_WAIT)
        return await self.run_as(self._service_account, program, arguments)

    async def run_as(
        self,
        user: str,
        program: str,
        arguments: Sequence[str],
        *,
        script: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a program as a user, by the helper; raises like `ask`."""
        order = {
            "program": program,
            "arguments": list(arguments),
            "bin": None if self._settings.bin is None else str(self._settings.bin),
            "conf": None if self._settings.conf is None else str(self._settings.conf),
            "timeout_s": self._settings.timeout_s,
            "script": script,
            "environment": None if environment is None else dict(environment),
        }
        words = [] if self._is_own(user) else [word.replace("{user}", user) for word in self._settings.run_as]
        command = [*words, _PYTHON, "-I", "-S", str(self._settings.helper or _HELPER)]
        return await self._run(command, json.dumps(order).encode(), _MOST_WAIT + 1)

    def _is_own(self, user: str) -> bool:
        return user == self._own or not self._settings.run_as

    def _path(self, program: str) -> str:
        return program if self._settings.bin is None else str(self._settings.bin / program)

    async def _run(self, command: list[str], stdin: bytes, grace_s: float) -> Done:
        what = Path(command[0]).name
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError) as e:
            raise SlurmUnavailableError(f"{what} cannot be run: {e}") from e
        try:
            async with asyncio.timeout(self._settings.timeout_s + grace_s):
                out, errors, _ = await asyncio.gather(
                    _read(process.stdout, MOST_OUTPUT),
                    _read(process.stderr, _MOST_ERRORS),
                    _write(process, stdin),
                )
                code = await process.wait()
        except TimeoutError as e:
            raise SlurmUnavailableError(f"{what} did not end within {self._settings.timeout_s:g} s.") from e
        except _TooLongError as e:
            raise SlurmUnavailableError(f"{what} said more than {e.args[0]} bytes.") from e
        finally:
            await asyncio.shield(_end(process))
        return Done(code, out, errors.decode(errors="replace"))


_MOST_WAIT = 1.0
"""Seconds beyond the time-out, in which the helper's own alarm comes first."""


class _TooLongError(Exception):
    """A program does not stop talking."""


async def _read(stream: asyncio.StreamReader | None, most: int) -> bytes:
    assert stream is not None
    parts: list[bytes] = []
    length = 0
    while part := await stream.read(256 * 1024):
        parts.append(part)
        length += len(part)
        if length > most:
            raise _TooLongError(most)
    return b"".join(parts)


async def _write(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    # A program that has ended early tells why on standard error.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    # sudo and what runs below it may not be signalled by us: the helper's alarm ends those.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await process.wait()


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
