"""The answer to ``GET <base>/panhub/time``."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from jupyter_server.base.handlers import APIHandler
from tornado import web


class TimeHandler(APIHandler):
    """Says how much time the session has left, to the session's own person."""

    def initialize(self, file: str, sessions_url: str, warn_before: list[int], idle: tuple[int, int]) -> None:
        """Take what the extension read from the environment."""
        self._file = Path(file)
        self._idle_end_s, self._idle_warn_s = idle
        self._facts = {"sessions_url": sessions_url, "warn_before": warn_before}

    @web.authenticated
    async def get(self) -> None:
        """Answer with the deadline as it is now; null where the platform does not say."""
        await self._answer()

    @web.authenticated
    async def post(self) -> None:
        """Somebody used the page since it last asked."""
        # Else this very answer would tell of a warning that it takes back.
        self.update_api_activity()
        await self._answer()

    async def _answer(self) -> None:
        deadline = await asyncio.to_thread(self._deadline)
        answer = {"deadline": deadline, "now": time.time(), "idle_ends_at": self._idle_ends_at()}
        self.finish(json.dumps({**answer, **self._facts}))

    def _idle_ends_at(self) -> float | None:
        """As the platform will find, which learns of the last use a little later."""
        if not self._idle_end_s:
            return None
        end: float = self.application.last_activity().timestamp() + self._idle_end_s
        return end if end - time.time() <= self._idle_warn_s else None

    def _deadline(self) -> float | None:
        try:
            return float(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
