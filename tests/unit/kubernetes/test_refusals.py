"""Refusals of an API server, in the words of people."""

from __future__ import annotations

import pytest

from spawners.kubernetes.client import KubernetesRefusedError
from spawners.kubernetes.refusals import refusal

# As servers of 1.36 say them.
QUOTA = (
    'pods "session-1" is forbidden: exceeded quota: compute, requested: limits.cpu=2,requests.memory=8Gi,'
    "requests.nvidia.com/gpu=1, used: limits.cpu=3,requests.memory=8Gi,requests.nvidia.com/gpu=4, "
    "limited: limits.cpu=4,requests.memory=16Gi,requests.nvidia.com/gpu=4"
)
REFUSALS = [
    (403, QUOTA, "it asks for 2 CPUs, and 3 of 4 CPUs are used"),
    (403, QUOTA, "it asks for 1 GPU, and 4 of 4 GPUs are used"),
    (403, QUOTA, "it asks for 8 GiB of memory, and 8 GiB of 16 GiB of memory are used"),
    (
        403,
        'pods "p" is forbidden: exceeded quota: some, requested: pods=1, used: pods=9, limited: pods=9',
        "quota for sessions (some) has no room for it: it asks for 1 session, and 9 of 9 sessions are used.",
    ),
    (
        403,
        'pods "p" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true (x)',
        "pod security standard “restricted:latest” does not allow the session: runAsNonRoot != true (x).",
    ),
    (
        422,
        "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'names' with binding 'b' denied request: "
        "No such name",
        "A policy of the cluster (names) refused the session: No such name.",
    ),
    (
        400,
        'admission webhook "policy.example.org" denied the request: only signed images',
        "A policy of the cluster (policy.example.org) refused the session: only signed images.",
    ),
    (
        403,
        'pods is forbidden: User "system:serviceaccount:a:b" cannot create resource "pods" in API group ""',
        "The service may not start sessions on the cluster:",
    ),
    (404, 'namespaces "x" not found', "The cluster has no namespace for sessions:"),
    (
        403,
        'pods "p" is forbidden: unable to create new content in namespace x because it is being terminated',
        "The cluster's namespace for sessions is being removed.",
    ),
    (
        403,
        'pods "p" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
        "The cluster does not allow the session: maximum cpu usage per Container is 1, but limit is 2.",
    ),
    (
        422,
        'Pod "p" is invalid: spec.containers[0].image: Required value',
        'The cluster refused the session: Pod "p" is invalid: spec.containers[0].image: Required value.',
    ),
]


@pytest.mark.parametrize(("status", "message", "words"), REFUSALS)
def test_a_refusal_is_said_in_the_words_of_people(status, message, words) -> None:
    assert words in refusal(KubernetesRefusedError(status, "Forbidden", message, {}))


def test_only_a_lack_of_rights_may_pass_by_itself() -> None:
    is_of_rights = [KubernetesRefusedError(status, "", text, {}).is_of_rights for status, text, _ in REFUSALS]
    assert is_of_rights == ["cannot create resource" in text for _, text, _ in REFUSALS]
    assert KubernetesRefusedError(401, "Unauthorized", "Unauthorized", {}).is_of_rights
