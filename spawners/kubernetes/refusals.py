"""Why the API server did not take a pod, in the words of people. Pure."""

from __future__ import annotations

import re

from spawners.kubernetes.client import KubernetesRefusedError
from spawners.kubernetes.words import amount, bare, sentence, several

_QUOTA = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<requested>.+?), used: (?P<used>.+?), "
    r"limited: (?P<hard>.+)\Z"
)
_POLICY = re.compile(
    r"ValidatingAdmissionPolicy '(?P<name>[^']+)'.*? denied request: (?P<said>.+)\Z", re.DOTALL
)
_WEBHOOK = re.compile(r'admission webhook "(?P<name>[^"]+)" denied the request:? ?(?P<said>.*)\Z', re.DOTALL)
_POD_SECURITY = re.compile(r'violates PodSecurity "(?P<level>[^"]+)": (?P<said>.+)\Z', re.DOTALL)
_OPERATORS = "That is for the operators of this place."


def refusal(error: KubernetesRefusedError) -> str:
    """A sentence or two for the person whose session was refused."""
    message = str(error)
    if found := _QUOTA.search(message):
        return _over_quota(found)
    if found := _POD_SECURITY.search(message):
        return (
            f"The cluster's pod security standard “{found['level']}” does not allow the session: "
            f"{sentence(found['said'], 500)} {_OPERATORS}"
        )
    if found := _POLICY.search(message) or _WEBHOOK.search(message):
        return (
            f"A policy of the cluster ({found['name']}) refused the session: {sentence(found['said'], 500)}"
        )
    if "being terminated" in message:
        return f"The cluster's namespace for sessions is being removed. {_OPERATORS}"
    if error.status == 404:
        return f"The cluster has no namespace for sessions: {sentence(message)} {_OPERATORS}"
    if error.is_of_rights:
        return f"The service may not start sessions on the cluster: {sentence(message)} {_OPERATORS}"
    if "is forbidden" in message:
        said = message.partition("is forbidden:")[2].strip() or message
        return f"The cluster does not allow the session: {sentence(said, 500)}"
    return f"The cluster refused the session: {sentence(message, 500)}"


def _over_quota(found: re.Match[str]) -> str:
    requested, used, hard = (_pairs(found[part]) for part in ("requested", "used", "hard"))
    parts = []
    for name, asked in requested.items():
        if name in hard:
            parts.append(
                f"it asks for {amount(name, asked)}, and {bare(name, used.get(name, '0'))} of "
                f"{amount(name, hard[name])} are used"
            )
    unique = list(dict.fromkeys(parts))
    return (
        f"The cluster's quota for sessions ({found['name'].strip()}) has no room for it: {several(unique)}. "
        "Wait until other sessions have ended, or choose a smaller size or another place."
    )


def _pairs(text: str) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in text.strip().rstrip(".").split(",") if "=" in part)
    return {name.strip(): value.strip() for name, value in pairs}
