"""ResourceQuotas of the sessions' namespace, asked for when somebody looks at what is free."""

from __future__ import annotations

import asyncio
import time

from spawners.kubernetes import decode
from spawners.kubernetes.client import KubernetesClient, KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.models import Quota
from spawners.kubernetes.outage import Outage

_AGE_S = 15.0
_STALE_S = 120.0


class Quotas:
    """The namespace's quotas, no older than a quarter of a minute; one question serves all who ask."""

    def __init__(self, client: KubernetesClient, *, what: str) -> None:
        self._client = client
        self._found: tuple[Quota, ...] | None = None
        self._at = -1e9
        self._asked = -1e9
        self._lock = asyncio.Lock()
        self._outage = Outage(what)

    async def known(self) -> tuple[Quota, ...] | None:
        """The quotas; None where they are not known."""
        if time.monotonic() - self._asked > _AGE_S:
            async with self._lock:
                if time.monotonic() - self._asked > _AGE_S:
                    await self._ask()
                    self._asked = time.monotonic()
        return self._found if time.monotonic() - self._at < _STALE_S else None

    async def _ask(self) -> None:
        try:
            page = await self._client.get(self._client.path("resourcequotas"), {"limit": 100}, wait_s=3)
        except (KubernetesRefusedError, KubernetesUnavailableError) as error:
            self._outage.failed(error)
            return
        self._outage.answered()
        self._found = tuple(decode.quota(raw) for raw in page.get("items") or ())
        self._at = time.monotonic()
