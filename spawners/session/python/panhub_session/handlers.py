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

    def initialize(self, file: str, sessions_url: str, warn_before: list[int]) -> None:
        """Take what the extension read from the environment."""
        self._file = Path(file)
        self._facts = {"sessions_url": sessions_url, "warn_before": warn_before}

    @web.authenticated
    async def get(self) -> None:
        """Answer with the deadline as it is now; null where the platform does not say."""
        deadline = await asyncio.to_thread(self._deadline)
        self.finish(json.dumps({"deadline": deadline, "now": time.time(), **self._facts}))

    def _deadline(self) -> float | None:
        try:
            return float(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
