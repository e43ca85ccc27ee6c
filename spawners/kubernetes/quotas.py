"""ResourceQuotas that count sessions, asked for when somebody looks at what is free."""

from __future__ import annotations

import asyncio
import time

from spawners.kubernetes import decode
from spawners.kubernetes.client import KubernetesClient, KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.models import Quota, Scope
from spawners.kubernetes.outage import Outage

_AGE_S = 15.0
_STALE_S = 120.0


class Quotas:
    """The namespace's quotas for sessions of a priority class, no older than a quarter of a minute.

    One question serves all who ask.
    """

    def __init__(self, client: KubernetesClient, *, priority_class: str | None, what: str) -> None:
        self._client = client
        self._priority_class = priority_class
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
        quotas = map(decode.quota, page.get("items") or ())
        self._found = tuple(quota for quota in quotas if counts_sessions(quota, self._priority_class))
        self._at = time.monotonic()


def counts_sessions(quota: Quota, priority_class: str | None) -> bool:
    """Whether sessions are within a quota's scopes (kubernetes.io, Resource Quotas, Quota scopes).

    A session reserves CPUs and has no deadline of the cluster's. Where that does not tell, the server will.
    """
    return all(_is_within(scope, priority_class) for scope in quota.scopes)


def _is_within(scope: Scope, priority_class: str | None) -> bool:
    if scope.name != "PriorityClass" or priority_class is None:
        return scope.name in ("NotBestEffort", "NotTerminating")
    match scope.operator:
        case "Exists":
            return True
        case "In":
            return priority_class in scope.values
        case "NotIn":
            return priority_class not in scope.values
    return False
