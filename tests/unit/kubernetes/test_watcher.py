"""What the watcher remembers of a pod that the cluster forgets."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spawners.kubernetes.models import Container
from spawners.kubernetes.settlement import settle
from spawners.kubernetes.watcher import ClusterWatcher
from tests.support.kubernetes_pods import NOW, a_pod, ago, condition, ended, running

FORGOTTEN = Container("terminated", "ContainerStatusUnknown", "", 137)


class Api:
    """Is never asked."""

    def path(self, *parts):
        return "/".join(parts)


@pytest.fixture
def watcher():
    return ClusterWatcher("c", Api(), sees_nodes=False)


def known(watcher):
    found = watcher.pod("session-1", "uid-1")
    assert found is not None
    return found


def test_a_session_whose_container_was_lost_is_charged_from_its_start(watcher):
    watcher.pods.put(running(version=1))
    lost = condition("False", at=ago(15))
    watcher.pods.put(a_pod(version=2, phase="Failed", reason="Evicted", container=FORGOTTEN, ready=lost))
    assert settle(known(watcher), NOW).elapsed_seconds == 45
    watcher.pods.put(a_pod(version=3, phase="Failed", container=FORGOTTEN, ready=lost, deleted_at=ago(1)))
    assert settle(known(watcher), NOW).elapsed_seconds == 45


def test_what_the_kubelet_knows_counts(watcher):
    watcher.pods.put(running(version=1))
    watcher.pods.put(ended(1, version=2))
    assert known(watcher).container.started_at == ago(70)


def test_what_never_ran_began_never_and_another_pod_has_its_own_start(watcher):
    watcher.pods.put(a_pod(version=1))
    watcher.pods.put(a_pod(version=2, phase="Failed", container=FORGOTTEN))
    assert settle(known(watcher), NOW).elapsed_seconds == 0
    watcher.pods.put(running(version=3, uid="uid-0"))
    watcher.pods.put(a_pod(version=4, phase="Failed", container=FORGOTTEN))
    assert settle(known(watcher), NOW + timedelta(hours=1)).elapsed_seconds == 0
