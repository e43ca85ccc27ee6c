"""What `panhub check` asks a cluster, before it is asked."""

from __future__ import annotations

import kubernetes_validate
import pytest

from hub.checks.finding import Level
from hub.checks.kubernetes import _Cluster, _trials
from tests.support.kubernetes_plans import IMAGE, a_cluster

WARM = {"pods": 1, "image": IMAGE}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["a session in pool default"]),
        ({"pause_image": None}, ["a session in pool default"]),
        (
            {"pause_image": None, "pools": {"a": {"warm": WARM}, "b": {}}},
            ["a session in pool a", "a placeholder in pool a", "a session in pool b"],
        ),
    ],
)
def test_there_is_a_trial_for_all_that_would_be_made(settings, names):
    found = _trials(a_cluster(**settings))
    assert [name for name, _ in found] == names
    for _, pod in found:
        kubernetes_validate.validate(pod, "1.36", strict=True)


async def test_placeholders_without_an_image_are_a_fault_of_the_settings():
    cluster = _Cluster("c", a_cluster(pause_image=None, pools={"a": {"warm": {"pods": 1}}}))
    found = await cluster._found("pods", cluster._check_pods())
    assert (found.level, found.text) == (
        Level.FAULT,
        "pool a keeps placeholders, and nothing says of which image",
    )
