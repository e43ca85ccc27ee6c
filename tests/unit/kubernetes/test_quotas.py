"""Which of a namespace's quotas are asked when a session is to have room."""

from __future__ import annotations

import pytest

from spawners.kubernetes.client import KubernetesUnavailableError
from spawners.kubernetes.quotas import Quotas

WARM, SESSIONS = "panhub-warm", "panhub-sessions"


def by_class(operator, *values):
    expression = {"scopeName": "PriorityClass", "operator": operator}
    return {"scopeSelector": {"matchExpressions": [{**expression, **({"values": values} if values else {})}]}}


SCOPES = [
    ({}, True, True),
    ({"scopes": ["BestEffort"]}, False, False),
    ({"scopes": ["Terminating"]}, False, False),
    ({"scopes": ["NotBestEffort", "NotTerminating"]}, True, True),
    ({"scopes": ["NotTerminating", "CrossNamespacePodAffinity"]}, False, False),
    ({"scopes": ["PriorityClass"]}, True, False),
    (by_class("In", WARM), False, False),
    (by_class("In", WARM, SESSIONS), True, False),
    (by_class("NotIn", WARM), True, False),
    (by_class("NotIn", SESSIONS), False, False),
    (by_class("Exists"), True, False),
    (by_class("DoesNotExist"), False, False),
]
"""Specification, whether it counts sessions of `SESSIONS`, and those whose class the cluster gives."""


class Api:
    """Has these quotas."""

    def __init__(self, *specs):
        self.items = [{"metadata": {"name": str(n)}, "spec": spec} for n, spec in enumerate(specs)]

    def path(self, kind):
        return kind

    async def get(self, path, query, **_):
        if not self.items:
            raise KubernetesUnavailableError("down")
        return {"items": self.items}


@pytest.mark.parametrize("priority_class", [SESSIONS, None])
async def test_a_quota_of_others_is_none_of_sessions(priority_class):
    api = Api(*({**spec, "hard": {"pods": "1"}} for spec, *_ in SCOPES))
    known = await Quotas(api, priority_class=priority_class, what="quotas").known()
    column = 1 if priority_class else 2
    assert [int(quota.name) for quota in known] == [n for n, case in enumerate(SCOPES) if case[column]]
    assert {quota.hard["pods"] for quota in known} == {"1"}


async def test_quotas_that_nobody_tells_are_not_known():
    assert await Quotas(Api(), priority_class=None, what="quotas").known() is None
