"""kill -9 at times that nobody chose: service, hub and proxy, over and over, with a fixed seed."""

from __future__ import annotations

import random
import time

import pytest

from tests.support.afterwards import assert_books_are_right, assert_nothing_is_left, wait_until_reachable
from tests.support.platform import Platform

pytestmark = pytest.mark.timeout(300)


def test_sessions_survive_kills_at_random_times(platform: Platform) -> None:
    chance = random.Random(20261121)
    visitor = platform.sign_in("tobi")
    launches = [visitor.launch(), visitor.launch()]
    for _ in range(3):
        time.sleep(chance.uniform(0, 1.5))
        platform.restart(chance.choice(["service", "hub", "proxy"]))
    for launch in launches:
        running = visitor.wait_for(launch["id"], "running", timeout_s=90)
        wait_until_reachable(visitor, running)
        visitor.api("DELETE", f"/launches/{launch['id']}")
        platform.restart(chance.choice(["service", "hub"]))
    for launch in launches:
        assert_nothing_is_left(visitor, launch)
    assert_books_are_right(platform)


def test_the_loops_of_hub_and_service_are_watched(platform: Platform) -> None:
    assert platform.is_watched("hub")
    assert platform.is_watched("service")
