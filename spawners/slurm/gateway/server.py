"""The gateway's process: answers on a unix socket until told to stop.

Whoever connects is known by the kernel's word (SO_PEERCRED), not by its own. Everything that comes
in is bounded in size and time. One decision is one audit line, written before its answer is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import BaseModel, ValidationError

from spawners.slurm.gateway.audit import Audit, AuditUnavailableError, Decision, Peer
from spawners.slurm.gateway.directory import Directory, DirectoryUnavailableError
from spawners.slurm.gateway.jwt import KeyFileError, mint, read_key
from spawners.slurm.gateway.listen import listening
from spawners.slurm.gateway.policy import is_name, refusal, text_of
from spawners.slurm.gateway.protocol import MAX_REQUEST, Code, Minted, Refused, Request
from spawners.slurm.gateway.rate import RateLimit
from spawners.slurm.gateway.settings import GatewayConfigError, GatewaySettings

log = logging.getLogger(__name__)

_IDLE_S = 30.0
"""Longest wait for a whole line; a client may connect again."""

_WRITE_S = 5.0
_MOST_CONNECTIONS = 64
_GRACE_S = 2.0
"""Time for answers that are under way when the process is told to stop."""

_CREDENTIALS = struct.Struct("iII")


class Gateway:
    """Decides and answers. ``clock`` gives the seconds since 1970."""

    def __init__(
        self,
        settings: GatewaySettings,
        key: bytes,
        *,
        directory: Directory | None = None,
        audit: Audit | None = None,
        clock: Callable[[], float] = time.time,
        idle_s: float = _IDLE_S,
    ) -> None:
        self._settings = settings
        self._key = key
        self._peers = peer_uids(settings)
        self._directory = directory or Directory(
            groups=settings.allow.groups,
            slurm_user=settings.slurm_user,
            timeout_s=settings.directory_timeout_s,
        )
        self._audit = audit or Audit(settings.audit_file)
        self._rate = RateLimit(settings.per_minute)
        self._clock = clock
        self._idle_s = idle_s
        self._connections: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    async def serve(self, listener: socket.socket, stopped: asyncio.Event) -> None:
        """Answer on a listening socket until the event is set; then finish what is under way."""
        server = await asyncio.start_unix_server(self._connected, sock=listener, limit=MAX_REQUEST)
        try:
            await stopped.wait()
        finally:
            server.close()
            self._is_stopping = True
            for task in self._waiting:
                task.cancel()
            if self._connections:
                await asyncio.wait(self._connections, timeout=_GRACE_S)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._converse(task, reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the other end went away or was too slow, or we stop
        except Exception:
            log.exception("A connection failed")
        finally:
            self._connections.discard(task)
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # the other end does not read: nothing will empty the buffer
            else:
                writer.close()

    async def _converse(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        peer = peer_of(writer.get_extra_info("socket"))
        if len(self._connections) > _MOST_CONNECTIONS:
            await _send(writer, await self._refuse(peer, None, Code.BUSY))
            return
        while not self._is_stopping:
            self._waiting.add(task)
            try:
                async with asyncio.timeout(self._idle_s):
                    line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                await _send(writer, await self._refuse(peer, None, Code.INVALID_REQUEST))
                return
            finally:
                self._waiting.discard(task)
            await _send(writer, await self._answer(peer, line))

    async def _answer(self, peer: Peer, line: bytes) -> Minted | Refused:
        if peer.uid not in self._peers:
            return await self._refuse(peer, None, Code.PEER_NOT_ALLOWED)
        try:
            user = Request.model_validate_json(line).user
        except ValidationError:
            return await self._refuse(peer, None, Code.INVALID_REQUEST)
        code = await self._decide(user)
        if code is not None:
            return await self._refuse(peer, user, code)
        now = int(self._clock())
        expires_at = now + self._settings.lifetime_s
        token = mint(self._key, user, issued_at=now, lifetime_s=self._settings.lifetime_s)
        try:
            await self._audit.write(Decision(peer, user, expires_at=datetime.fromtimestamp(expires_at, UTC)))
        except AuditUnavailableError as error:
            log.error("The audit log cannot be written: %s", error)  # noqa: TRY400 - the cause is in the text
            return _refused(Code.AUDIT_UNAVAILABLE, user)
        return Minted(token=token, expires_at=expires_at)

    async def _decide(self, user: str) -> Code | None:
        """Why there is no token; the directory is asked for plausible names only, and not too often."""
        if not is_name(user):
            return Code.INVALID_NAME
        if not self._rate.allows(user, time.monotonic()):
            return Code.RATE_LIMITED
        try:
            entry = await self._directory.lookup(user)
        except DirectoryUnavailableError:
            return Code.DIRECTORY_UNAVAILABLE
        return refusal(user, entry, self._settings)

    async def _refuse(self, peer: Peer, user: str | None, code: Code) -> Refused:
        try:
            await self._audit.write(Decision(peer, user, code.value))
        except AuditUnavailableError as error:
            log.error("The audit log cannot be written: %s", error)  # noqa: TRY400 - the cause is in the text
        return _refused(code, user)


def _refused(code: Code, user: str | None) -> Refused:
    return Refused(code=code.value, text=text_of(code, user or ""))


async def _send(writer: asyncio.StreamWriter, answer: BaseModel) -> None:
    writer.write(answer.model_dump_json().encode() + b"\n")
    async with asyncio.timeout(_WRITE_S):
        await writer.drain()


def peer_of(connection: socket.socket) -> Peer:
    """Process and account at the other end of a unix socket, as they were when it connected."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(raw))


def peer_uids(settings: GatewaySettings) -> frozenset[int]:
    """Uids of the accounts that may ask. Blocking: for the start.

    Raises
    ------
    GatewayConfigError
        If one of them does not exist.
    """
    found = set()
    for peer in settings.peers:
        try:
            found.add(peer if isinstance(peer, int) else pwd.getpwnam(peer).pw_uid)
        except KeyError as error:
            raise GatewayConfigError(f"peers: this machine has no account {peer}") from error
    return frozenset(found)


def run_gateway(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises
    ------
    GatewayConfigError
        If it cannot start: key, socket or accounts are not as they must be, or it is run by root.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    if os.geteuid() == 0:
        raise GatewayConfigError("The token gateway does not run as root: give it an account of its own.")
    # No core file may hold the key.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        key = read_key(settings.key_file)
    except KeyFileError as error:
        raise GatewayConfigError(f"key_file: {error}") from error
    gateway = Gateway(settings, key)
    with listening(settings) as listener, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(gateway, listener, settings))


async def _serve(gateway: Gateway, listener: socket.socket, settings: GatewaySettings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    log.info("The token gateway answers on %s", settings.socket)
    await gateway.serve(listener, stopped)
    log.info("The token gateway stops")
