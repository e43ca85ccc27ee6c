"""Tokens from the gateway, as the transports take them (`spawners.slurm.transport.Tokens`)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from spawners.slurm.gateway.policy import is_name, text_of
from spawners.slurm.gateway.protocol import (
    ABOUT_THE_USER,
    ANSWER,
    MAX_ANSWER,
    Code,
    Minted,
    Refused,
    Request,
)
from spawners.slurm.transport import SlurmError, SlurmUnavailableError

_EARLY_S = 60.0
"""A token is renewed this long before its end, so that it outlives the question that it goes with."""


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str = field(repr=False)
    fresh_until: float


class GatewayTokens:
    """Asks the gateway at a socket, and keeps each user's token while it is fresh.

    Many may ask for one user's token at once; the gateway is asked once.
    """

    def __init__(self, socket: Path, *, timeout_s: float = 10.0) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._kept: dict[str, _Kept] = {}
        self._asking: dict[str, asyncio.Task[str]] = {}

    async def token(self, user: str) -> str:
        """Token for one user, good for a minute or more where the gateway's last longer than two.

        Raises
        ------
        SlurmError
            If the gateway gives this user none; the text says why.
        SlurmUnavailableError
            If it does not answer, or cannot say.
        """
        kept = self._kept.get(user)
        if kept is not None and time.time() < kept.fresh_until:
            return kept.token
        task = self._asking.get(user)
        if task is None:
            task = asyncio.create_task(self._renew(user))
            self._asking[user] = task
            task.add_done_callback(lambda done: self._asked(user, done))
        # One who no longer waits takes the answer from nobody else.
        return await asyncio.shield(task)

    def forget(self, user: str) -> None:
        """Ask for another token next time: the last one was not accepted."""
        self._kept.pop(user, None)

    def _asked(self, user: str, task: asyncio.Task[str]) -> None:
        if self._asking.get(user) is task:
            del self._asking[user]
        if not task.cancelled():
            task.exception()  # where nobody waits any more, nobody need be told

    async def _renew(self, user: str) -> str:
        answer = await self._ask(user)
        if isinstance(answer, Refused):
            if answer.code in ABOUT_THE_USER:
                raise SlurmError(answer.text)
            raise SlurmUnavailableError(f"The token gateway gives no tokens: {answer.text}")
        now = time.time()
        lasts_s = answer.expires_at - now
        self._kept = {name: kept for name, kept in self._kept.items() if now < kept.fresh_until}
        self._kept[user] = _Kept(answer.token, answer.expires_at - min(_EARLY_S, lasts_s / 2))
        return answer.token

    async def _ask(self, user: str) -> Minted | Refused:
        if not is_name(user):
            return Refused(code=Code.INVALID_NAME, text=text_of(Code.INVALID_NAME, user))
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_unix_connection(self._socket, limit=MAX_ANSWER)
                try:
                    writer.write(Request(user=user).model_dump_json().encode() + b"\n")
                    await writer.drain()
                    line = await reader.readuntil(b"\n")
                finally:
                    writer.close()
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError) as error:
            raise SlurmUnavailableError(f"The token gateway at {self._socket} does not answer.") from error
        try:
            return ANSWER.validate_json(line)
        except ValidationError as error:
            raise SlurmUnavailableError("The token gateway's answer cannot be understood.") from error
