"""kill -9 of service, hub or proxy, at every point of a session's life, and what is there afterwards.

One kill meets sessions at all points: one that runs, one whose server starts, one that is just being
asked for, one that is being stopped. Each point is found by looking at the session table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.afterwards import (
    assert_nothing_is_left,
    is_reachable,
    supervisor_of,
    wait_for_state,
    wait_until_reachable,
)
from tests.support.kernels import Kernel
from tests.support.platform import Platform, Visitor

pytestmark = pytest.mark.timeout(300)


@dataclass
class Scene:
    """Sessions that met a kill, by what each was doing."""

    visitor: Visitor
    runs: dict[str, Any]
    supervisor: dict[str, Any]
    kernel: Kernel
    starts: dict[str, Any]
    asked: dict[str, Any]
    stops: dict[str, Any]

    def all(self) -> list[dict[str, Any]]:
        """Every session."""
        return [self.runs, self.starts, self.asked, self.stops]


@pytest.fixture(scope="module", params=["service", "hub", "proxy"])
def scene(request: pytest.FixtureRequest, platform: Platform, maja: Visitor) -> Iterator[Scene]:
    """All points of a session's life, one kill -9, and the same program started again."""
    runs, stops = maja.launch(), maja.launch()
    runs, stops = maja.wait_for(runs["id"], "running"), maja.wait_for(stops["id"], "running")
    kernel = Kernel(maja.open_session(runs))
    kernel.run("kept = 6 * 7")
    supervisor = supervisor_of(platform, runs["id"])
    starts = maja.launch()
    wait_for_state(platform, starts["id"], "submitted")
    maja.api("DELETE", f"/launches/{stops['id']}")
    asked = maja.launch()
    wait_for_state(platform, asked["id"], "requested", "planned", "held")
    platform.kill(request.param)
    if request.param != "service":
        time.sleep(1)  # what goes on without the dead one goes on
    platform.start(request.param)
    yield Scene(maja, runs, supervisor, kernel, starts, asked, stops)
    for launch in (runs, starts, asked):
        maja.api("DELETE", f"/launches/{launch['id']}")
    for launch in (runs, starts, asked):
        assert_nothing_is_left(maja, launch)


def test_a_running_session_is_the_same_process_and_reachable(scene: Scene) -> None:
    wait_until_reachable(scene.visitor, scene.runs)
    assert supervisor_of(scene.visitor.platform, scene.runs["id"]) == scene.supervisor
    assert scene.visitor.get(scene.runs["id"])["state"] == "running"


def test_a_kernel_keeps_its_state(scene: Scene) -> None:
    wait_until_reachable(scene.visitor, scene.runs)
    assert scene.kernel.value("kept") == "42"


def test_a_session_whose_server_was_starting_comes_up_and_is_reachable(scene: Scene) -> None:
    started = scene.visitor.wait_for(scene.starts["id"], "running", timeout_s=90)
    wait_until_reachable(scene.visitor, started)


def test_a_start_that_was_just_asked_for_comes_up_and_is_reachable(scene: Scene) -> None:
    started = scene.visitor.wait_for(scene.asked["id"], "running", timeout_s=90)
    wait_until_reachable(scene.visitor, started)


def test_a_session_that_was_being_stopped_ends_and_leaves_nothing(scene: Scene) -> None:
    assert_nothing_is_left(scene.visitor, scene.stops)
    assert not is_reachable(scene.visitor, scene.stops)


def test_a_session_can_be_opened_anew(scene: Scene) -> None:
    wait_until_reachable(scene.visitor, scene.runs)
    assert Kernel(scene.visitor.open_session(scene.runs)).value("1 + 1") == "2"
