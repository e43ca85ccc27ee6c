"""What a pod's record says of its session."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spawners.backend import State
from spawners.kubernetes.models import Container
from spawners.kubernetes.states import is_gone, judge
from tests.support.kubernetes_pods import NOW, a_pod, ago, condition, ended, event, running, waiting

PATIENCE = timedelta(seconds=300)

SCHEDULER = "0/3 nodes are available: {}. preemption: 0/3 nodes are available: 3 No preemption victims found."


def unscheduled(message, **more):
    return a_pod(node="", scheduled=condition("False", "Unschedulable", SCHEDULER.format(message)), **more)


PENDING = [
    (a_pod(node="", is_gated=True, scheduled=None), (), "It is being handed over."),
    (a_pod(node="", scheduled=None), (), "Waiting for a node."),
    (
        unscheduled("1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}"),
        (),
        "no node has enough CPUs free",
    ),
    (
        unscheduled("3 Insufficient memory, 2 Insufficient nvidia.com/gpu"),
        (),
        "no node has enough memory and GPUs free",
    ),
    (unscheduled("3 Too many pods"), (), "as many sessions as they may"),
    (
        unscheduled("3 node(s) didn't match Pod's node affinity/selector"),
        (),
        "Waiting for a node of the kind that it needs",
    ),
    (unscheduled("3 node(s) were unschedulable"), (), "those there take no sessions now"),
    (
        unscheduled("3 node(s) had untolerated taint(s)"),
        (),
        "those there take no sessions now",
    ),
    (unscheduled('persistentvolumeclaim "site" not found'), (), "Its storage is not there"),
    (unscheduled("something new"), (), "The scheduler says: 0/3 nodes are available: something new"),
    (a_pod(node="", nominated_node="node-2"), (), "Room is being made for it on node-2."),
    (
        unscheduled("3 Insufficient cpu"),
        (event("TriggeredScaleUp"),),
        "a new node, which the cluster is starting",
    ),
    (
        a_pod(node="", scheduled=condition("False", "SchedulingGated")),
        (),
        "until the cluster's own queue lets it in",
    ),
    (waiting("ContainerCreating"), (), "Its container is being made on node-1."),
    (waiting("ContainerCreating"), (event("Pulling"),), "Its image is being fetched by node-1"),
    (
        waiting("ContainerCreating"),
        (event("Pulling"), event("Pulled")),
        "Its container is being made on node-1.",
    ),
    (waiting("ContainerCreating"), (event("FailedMount", "no route"),), "Its storage cannot be mounted"),
    (
        waiting("ContainerCreating"),
        (event("FailedMount", "no route", at=ago(9)), event("Pulling", at=ago(3))),
        "Its image is being fetched",
    ),
    (waiting("ErrImagePull", "pull access denied"), (), "the registry does not give it to this cluster"),
    (
        waiting("ImagePullBackOff", "manifest unknown"),
        (),
        "the registry does not have it. It is tried again.",
    ),
    (waiting("CreateContainerConfigError", "no such key"), (), "Its container cannot be made"),
    (a_pod(deleted_at=ago(-30), deletion_grace_s=45), (), "It is being ended."),
]


@pytest.mark.parametrize(("pod", "events", "words"), PENDING)
def test_a_session_that_waits_says_why(pod, events, words) -> None:
    said = judge(pod, {each.reason: each for each in events}, NOW, pull_patience=PATIENCE)
    assert said.status.state is State.PENDING
    assert words in said.status.reason
    assert said.hopeless == ""


HOPELESS = [
    (waiting("InvalidImageName"), ()),
    (waiting("ErrImageNeverPull"), ()),
    (waiting("ImagePullBackOff", scheduled=condition(at=ago(301))), ()),
    (waiting("CreateContainerConfigError", scheduled=condition(at=ago(61))), ()),
    (waiting("ContainerCreating", scheduled=condition(at=ago(301))), (event("FailedMount", "x"),)),
    (waiting("ContainerCreating", scheduled=condition(at=ago(301))), (event("FailedCreatePodSandBox", "x"),)),
    (a_pod(node="", is_gated=True, created_at=ago(91)), ()),
]


@pytest.mark.parametrize(("pod", "events"), HOPELESS)
def test_what_no_waiting_helps_is_hopeless(pod, events) -> None:
    said = judge(pod, {each.reason: each for each in events}, NOW, pull_patience=PATIENCE)
    assert said.status.state is State.PENDING
    assert said.hopeless == said.status.reason != ""


def test_what_is_being_handed_over_is_never_cut_off() -> None:
    pod = a_pod(node="", is_gated=True, created_at=ago(900))
    assert judge(pod, {}, NOW, pull_patience=PATIENCE, is_starting=True).hopeless == ""


def test_an_old_event_says_nothing_about_now() -> None:
    pod = waiting("ContainerCreating", scheduled=condition(at=ago(3000)))
    old = {"FailedMount": event("FailedMount", "x", at=ago(2000))}
    assert judge(pod, old, NOW, pull_patience=PATIENCE).hopeless == ""


def test_a_running_session_has_its_address_and_node() -> None:
    status = judge(running(), {}, NOW, pull_patience=PATIENCE).status
    assert (status.state, status.host, status.node) == (State.RUNNING, "10.0.0.7", "node-1")
    assert status.started_at == ago(60)


NOT_READY = condition("False", at=ago(5))

UNKNOWN = [
    (running(ready=NOT_READY), None),
    (running(), False),
    (running(ready=NOT_READY, deleted_at=ago(-40), deletion_grace_s=45), None),
    (a_pod(), False),
]


@pytest.mark.parametrize(("pod", "is_node_ready"), UNKNOWN)
def test_on_a_node_that_is_silent_a_session_is_unknown(pod, is_node_ready) -> None:
    said = judge(pod, {}, NOW, pull_patience=PATIENCE, is_node_ready=is_node_ready)
    assert said.status.state is State.UNKNOWN
    assert "node-1 does not answer" in said.status.reason


def test_a_session_that_ends_on_a_node_that_answers_runs_until_it_has_ended() -> None:
    # The kubelet says of both that they are not ready.
    pod = running(ready=NOT_READY, containers_ready=NOT_READY, deleted_at=ago(-40), deletion_grace_s=45)
    status = judge(pod, {}, NOW, pull_patience=PATIENCE, is_node_ready=True).status
    assert (status.state, status.reason) == (State.RUNNING, "It is ending.")


GONE = [
    (ended(), True),
    (ended(1), True),
    (a_pod(phase="Failed", reason="Evicted"), True),
    (a_pod(node="", deleted_at=ago(0), deletion_grace_s=0), True),
    (running(deleted_at=ago(31), deletion_grace_s=0), True),
    (running(deleted_at=ago(29), deletion_grace_s=0), False),
    (running(deleted_at=ago(900), deletion_grace_s=45), False),
    (running(), False),
    (a_pod(), False),
    (
        a_pod(container=Container("waiting", "ContainerCreating"), deleted_at=ago(5), deletion_grace_s=45),
        False,
    ),
]


@pytest.mark.parametrize(("pod", "is_so"), GONE)
def test_gone_is_what_has_ended_or_never_will_begin(pod, is_so) -> None:
    assert is_gone(pod, NOW) is is_so
    # Also on a node that is silent: what has ended stays so.
    state = judge(pod, {}, NOW, pull_patience=PATIENCE, is_node_ready=False).status.state
    assert (state is State.GONE) is is_so
