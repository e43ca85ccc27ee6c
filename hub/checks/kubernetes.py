"""Is a Kubernetes cluster in its place? Asked with the service's own rights: they are a part of it.

One look at each cluster: without an answer of its API server the rest is not asked. Nothing is made or
changed: whether pods would be admitted is asked by a dry run. Whether claims exist is not for the
service to see: a session that lacks one says so while it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import PurePosixPath
from typing import Any

from hub.checks.finding import Finding, Level, Trouble, found
from hub.settings import Settings
from profiles.loader import Profiles
from profiles.places import KubernetesPlace
from spawners.kubernetes.client import (
    KubernetesClient,
    KubernetesRefusedError,
    KubernetesUnavailableError,
)
from spawners.kubernetes.settings import KubernetesClusterSettings

_TIMEOUT_S = 30.0
_ASK_S = 5.0
_OLDEST = (1, 33)
"""Since then a pod is kept to the groups of its person (supplementalGroupsPolicy)."""

NEEDED: tuple[tuple[str, str], ...] = (
    *(("pods", verb) for verb in ("create", "get", "list", "watch", "patch", "delete")),
    ("pods/log", "get"),
    ("secrets", "create"),
    ("events", "list"),
    ("events", "watch"),
    ("resourcequotas", "list"),
)
"""Rights in the sessions' namespace, as resource and verb; the chart's Role has these and no others."""

NODES: tuple[tuple[str, str], ...] = (("nodes", "list"), ("nodes", "watch"))
"""Rights beyond it, with ``sees_nodes``."""

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


async def check_kubernetes(settings: Settings, profiles: Profiles | None) -> list[Finding]:
    """Findings of all clusters; none where no cluster is configured and no place names one.

    ``profiles`` None: what is offered cannot be read.
    """
    clusters = settings.kubernetes.clusters
    findings = []
    for name, place in ({} if profiles is None else profiles.places).items():
        if not isinstance(place, KubernetesPlace):
            continue
        known = clusters.get(place.cluster)
        if known is None or place.pool not in known.pools:
            text = (
                f"place {name} names the pool {place.pool} of the cluster {place.cluster}, which is not set"
            )
            mend = f"Add it to kubernetes.clusters.{place.cluster}, or correct the place."
            findings.append(Finding("kubernetes", Level.FAULT, text, mend))
    each = await asyncio.gather(*(_Cluster(name, one).findings() for name, one in clusters.items()))
    return [*findings, *(finding for one in each for finding in one)]


class _Cluster:
    """One cluster and what is asked of it."""

    def __init__(self, name: str, settings: KubernetesClusterSettings) -> None:
        self._name = name
        self._settings = settings
        self._client = KubernetesClient(settings)

    async def findings(self) -> list[Finding]:
        """All findings; the later ones only where the server answers."""
        try:
            alive = await self._found("", self._check_alive())
            if not alive.is_fine:
                return [alive]
            rights = await self._found("rights", self._check_rights())
            return [
                alive,
                rights,
                *await asyncio.gather(
                    self._found("pods", self._check_pods()),
                    self._found("gpus", self._check_gpus()),
                ),
            ]
        finally:
            await self._client.aclose()

    async def _found(self, what: str, answer: Coroutine[object, object, str]) -> Finding:
        return await found(f"kubernetes {self._name} {what}".rstrip(), answer, timeout_s=_TIMEOUT_S)

    async def _check_alive(self) -> str:
        """The API server answers, and is not too old."""
        try:
            version = await self._client.get("/version", wait_s=_ASK_S)
        except (KubernetesRefusedError, KubernetesUnavailableError) as error:
            raise Trouble(
                str(error),
                f"Look at kubernetes.clusters.{self._name}: kubeconfig and context, or the service account "
                "of the service's pod.",
            ) from error
        said = str(version.get("gitVersion", "of an unknown version"))
        if _release(version) < _OLDEST:
            oldest = ".".join(map(str, _OLDEST))
            raise Trouble(f"its API server is {said}", f"Sessions need Kubernetes {oldest} or later.")
        return f"API server {said} answers"

    async def _check_rights(self) -> str:
        """The service may do what it does."""
        wanted = [*NEEDED, *(NODES if self._settings.sees_nodes else ())]
        answers = await asyncio.gather(*(self._may(kind, verb) for kind, verb in wanted))
        lacking = [f"{verb} {kind}" for (kind, verb), may in zip(wanted, answers, strict=True) if not may]
        if lacking:
            raise Trouble(
                f"the service may not: {', '.join(lacking)} (namespace {self._settings.namespace})",
                "Bind the chart's Role (helm/panhub/files/rbac) to its service account; nodes need the "
                "ClusterRole.",
            )
        return f"the service has the {len(wanted)} rights that it needs"

    async def _may(self, kind: str, verb: str) -> bool:
        resource, _, part = kind.partition("/")
        asked: dict[str, str] = {"resource": resource, "subresource": part, "verb": verb}
        if (kind, verb) not in NODES:
            asked["namespace"] = self._settings.namespace
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        try:
            answer = await self._client.create(_REVIEWS, body, wait_s=_ASK_S)
        except (KubernetesRefusedError, KubernetesUnavailableError) as error:
            raise Trouble(str(error), "Look at the API server's log.") from error
        return bool(answer.get("status", {}).get("allowed"))

    async def _check_pods(self) -> str:
        """Pods would be admitted: namespace, service account, priority, quota, policies."""
        from spawners.kubernetes.refusals import refusal

        for pool in self._settings.pools_without_image():
            raise Trouble(
                f"pool {pool} keeps placeholders, and nothing says of which image",
                f"Set `warm.image` of the pool, or `pause_image` of kubernetes.clusters.{self._name}.",
            )
        for what, pod in _trials(self._settings):
            try:
                await self._client.create(f"{self._client.path('pods')}?dryRun=All", pod, wait_s=_ASK_S)
            except KubernetesRefusedError as error:
                raise Trouble(
                    f"{what}: {refusal(error)}",
                    "Make what is missing, or change the policy of the sessions' namespace "
                    f"{self._settings.namespace}.",
                ) from error
            except KubernetesUnavailableError as error:
                mend = "Look at the API server's log, and at admission webhooks."
                raise Trouble(str(error), mend) from error
        return f"they would be admitted in {_listed(list(self._settings.pools), 'pool')}"

    async def _check_gpus(self) -> str:
        """Nodes have the GPUs that pools name; nothing can be said where we may not see nodes."""
        from spawners.kubernetes import decode

        if not self._settings.sees_nodes:
            return "not looked for: nodes are not seen (sees_nodes)"
        page = await self._client.get("/api/v1/nodes", {"limit": 500}, wait_s=_ASK_S)
        nodes = [decode.node(raw) for raw in page.get("items") or ()]
        lacking = []
        for pool, each in self._settings.pools.items():
            for kind, gpu in each.gpus.items():
                labels = {**each.node_selector, **gpu.node_selector}
                own = [node for node in nodes if all(node.labels.get(k) == v for k, v in labels.items())]
                if not any(node.devices.get(gpu.resource) for node in own):
                    lacking.append(f"{kind} of pool {pool} ({gpu.resource})")
        if lacking:
            raise Trouble(
                f"no node has the GPUs {', '.join(lacking)}",
                "Look at the node's labels and at the device plugin, or correct gpus in the settings.",
                Level.WARNING,
            )
        return f"of {len(nodes)} node{'s' if len(nodes) != 1 else ''}, some have what the pools name"


def _trials(settings: KubernetesClusterSettings) -> list[tuple[str, dict[str, Any]]]:
    """Pods like sessions', with all of the storage, and like placeholders, by what they are."""
    from spawners.kubernetes.objects import placeholder_pod
    from spawners.kubernetes.storage import Located, volume

    found = []
    # No image is fetched for a trial, and a site without placeholders has none for them.
    settings = settings.model_copy(update={"pause_image": settings.pause_image or "panhub/check"})
    for pool, each in settings.pools.items():
        placeholder = placeholder_pod(settings, pool, "panhub-check")
        spec = {key: value for key, value in placeholder["spec"].items() if key != "priorityClassName"}
        if settings.priority_class:
            spec["priorityClassName"] = settings.priority_class
        spec["volumes"] = [
            volume(Located(index, entry, PurePosixPath()), is_read_only=True)
            for index, entry in enumerate(settings.storage)
        ]
        found.append((f"a session in pool {pool}", {**placeholder, "spec": spec}))
        if each.warm.pods:
            found.append((f"a placeholder in pool {pool}", placeholder))
    return found


def _release(version: dict[str, Any]) -> tuple[int, int]:
    """``1``, ``36+`` → (1, 36); one that says nothing counts as new."""
    try:
        return int(version["major"]), int(str(version["minor"]).rstrip("+"))
    except (KeyError, ValueError):
        return (99, 0)


def _listed(names: Sequence[str], word: str) -> str:
    return f"{word}{'s' if len(names) > 1 else ''} {', '.join(names)}"
