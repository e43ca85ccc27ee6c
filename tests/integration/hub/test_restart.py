"""What the hub does to sessions when it is restarted, cannot reach something or is interrupted.

Each test is a row of the behaviours that JupyterHub 6 shows as a host; the sentence is what must
hold with us.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.afterwards import (
    assert_nothing_is_left,
    is_reachable,
    servers,
    state_of,
    supervisor_of,
    wait_for_state,
    wait_until_reachable,
)
from tests.support.hubs import (
    in_background,
    paused,
    pending,
    restart_hub,
    server_pids,
    start_by_rest,
    start_hub,
)
from tests.support.platform import Platform, Visitor, wait_until

pytestmark = pytest.mark.timeout(240)


def hub_database(platform: Platform) -> str:
    """File of the hub's own database."""
    return platform.settings.hub.database.removeprefix("sqlite:///")


@dataclass
class Restarted:
    """Sessions that met a restart of the hub, which knew nothing of their state and got no answer."""

    silent: dict[str, Any]
    supervisor: dict[str, Any]
    stopped: dict[str, Any]
    cancelled: dict[str, Any]
    gone: dict[str, Any]
    checked: list[str | None]


@pytest.fixture(scope="module")
def restarted(platform: Platform, maja: Visitor) -> Iterator[Restarted]:
    """kill -9 of the hub, its spawners' state lost, no session answering for longer than it waits."""
    silent, stopped, gone = (maja.launch() for _ in range(3))
    silent, stopped, gone = (maja.wait_for(x["id"], "running") for x in (silent, stopped, gone))
    cancelled = maja.launch()
    wait_for_state(platform, cancelled["id"], "submitted")
    supervisor = supervisor_of(platform, silent["id"])
    platform.kill("hub")
    with closing(sqlite3.connect(hub_database(platform))) as database, database:
        database.execute("UPDATE spawners SET state = NULL")
    for pid in server_pids(gone["id"]):
        os.kill(pid, signal.SIGKILL)
    wait_for_state(platform, gone["id"], "ended")
    asked = (silent, stopped, cancelled)
    with paused(*(pid for launch in asked for pid in server_pids(launch["id"]))):
        start_hub(platform, "--PanSpawner.http_timeout=2")
        time.sleep(4)  # the hub would have ended them by now
        checked = [pending(maja, launch["server_name"]) for launch in asked]
        for launch in (stopped, cancelled):
            assert maja.api("DELETE", f"/launches/{launch['id']}").status_code == 202
            maja.wait_for(launch["id"], "ended")
    yield Restarted(silent, supervisor, stopped, cancelled, gone, checked)
    maja.api("DELETE", f"/launches/{silent['id']}")
    assert_nothing_is_left(maja, silent)


def test_a_session_that_does_not_answer_a_restarted_hub_is_waited_for(restarted: Restarted) -> None:
    assert restarted.checked == ["check"] * 3


def test_a_session_without_spawner_state_is_adopted_once_it_answers(
    platform: Platform, maja: Visitor, restarted: Restarted
) -> None:
    wait_until_reachable(maja, restarted.silent)
    assert supervisor_of(platform, restarted.silent["id"]) == restarted.supervisor
    assert maja.get(restarted.silent["id"])["state"] == "running"


def test_while_the_hub_checks_a_session_it_is_stopped_by_our_api(maja: Visitor, restarted: Restarted) -> None:
    assert maja.get(restarted.stopped["id"])["end_reason"] == "stopped_by_user"
    assert_nothing_is_left(maja, restarted.stopped)


def test_while_the_hub_checks_a_start_it_is_cancelled_by_our_api(maja: Visitor, restarted: Restarted) -> None:
    assert maja.get(restarted.cancelled["id"])["end_reason"] in {"cancelled", "stopped_by_user"}
    assert_nothing_is_left(maja, restarted.cancelled)


def test_a_session_that_ended_while_the_hub_was_down_is_dropped(maja: Visitor, restarted: Restarted) -> None:
    assert_nothing_is_left(maja, restarted.gone)


def test_an_engine_that_does_not_answer_a_restarted_hub_is_unknown_and_ends_nothing(
    platform: Platform, maja: Visitor
) -> None:
    launch = maja.wait_for(maja.launch()["id"], "running")
    service = platform.processes["service"].pid
    platform.kill("hub")
    with in_background(lambda: platform.start("hub")), paused(service):
        wait_until(lambda: pending(maja, launch["server_name"]) == "check", "the hub does not check")
        time.sleep(6)  # longer than a poll waits for its answer
        assert pending(maja, launch["server_name"]) == "check"
    wait_until_reachable(maja, launch)
    assert "Failed to poll spawner" not in platform.log("hub", 400)
    maja.api("DELETE", f"/launches/{launch['id']}")
    assert_nothing_is_left(maja, launch)


def test_an_unasked_stop_of_a_session_that_runs_is_not_carried_out(platform: Platform, maja: Visitor) -> None:
    launch = maja.wait_for(maja.launch()["id"], "running")
    secret = platform.settings.service.internal_secret_file.read_text().strip()
    body = {"username": "maja", "server_name": launch["server_name"], "cause": "unreachable"}
    with paused(*server_pids(launch["id"])):  # it does not answer us either
        reply = httpx.post(
            f"{platform.settings.service.url}/internal/stops",
            json=body,
            headers={"Authorization": f"Bearer {secret}"},
            timeout=60,
        )
    assert reply.json() == {"stopped": False}
    wait_until_reachable(maja, launch)
    maja.api("DELETE", f"/launches/{launch['id']}")
    assert_nothing_is_left(maja, launch)


def test_a_stop_waits_for_an_engine_that_is_restarted_meanwhile(platform: Platform, maja: Visitor) -> None:
    launch = maja.wait_for(maja.launch()["id"], "running")
    wait_until_reachable(maja, launch)
    platform.kill("service")
    with in_background(lambda: maja.hub("DELETE", f"/users/maja/servers/{launch['server_name']}")):
        platform.start("service")
    ended = maja.wait_for(launch["id"], "ended")
    assert ended["end_reason"] == "stopped_by_user"
    assert_nothing_is_left(maja, launch)


def test_a_pending_start_cancelled_at_the_hub_leaves_nothing(platform: Platform, maja: Visitor) -> None:
    launch = maja.launch()
    wait_for_state(platform, launch["id"], "submitted")
    reply = maja.hub("DELETE", f"/users/maja/servers/{launch['server_name']}")
    assert reply.status_code in {202, 204}
    assert maja.wait_for(launch["id"], "ended")["end_reason"] == "cancelled"
    assert_nothing_is_left(maja, launch)


def test_a_start_that_is_cancelled_at_the_hub_while_it_is_planned_starts_nothing(
    platform: Platform, maja: Visitor
) -> None:
    service = platform.processes["service"].pid
    path = "/users/maja/servers/planned"
    with paused(service), in_background(lambda: maja.hub("POST", path, json={})):
        wait_until(lambda: "planned" in servers(platform, "maja"), "the hub does not start it")
        maja.hub("DELETE", path)
    wait_until(lambda: not pending(maja, "planned"), "the hub does not let go")
    # The plan may come to its end after the hub has left: nobody starts it, and it is in nobody's way.
    launch = start_by_rest(maja, "planned")
    rows = platform.database("SELECT id FROM launches WHERE server_name = 'planned' AND held_at IS NOT NULL")
    assert rows == [(launch["id"],)]
    maja.api("DELETE", f"/launches/{launch['id']}")
    assert_nothing_is_left(maja, launch)


def test_the_same_name_started_again_with_an_empty_body_is_another_launch(
    platform: Platform, maja: Visitor
) -> None:
    first = start_by_rest(maja, "again", user_options={"walltime_s": 1800})
    assert maja.hub("DELETE", "/users/maja/servers/again").status_code in {202, 204}
    maja.wait_for(first["id"], "ended")
    wait_until(lambda: not pending(maja, "again"), "the hub does not let go")
    second = start_by_rest(maja, "again")
    assert second["id"] != first["id"]
    assert [state_of(platform, one["id"]) for one in (first, second)] == ["ended", "running"]
    wait_until_reachable(maja, second)
    maja.api("DELETE", f"/launches/{second['id']}")
    assert_nothing_is_left(maja, second)
    assert not is_reachable(maja, second)


def test_the_hub_starts_neither_proxy_nor_service(platform: Platform) -> None:
    hub = platform.processes["hub"].pid
    assert Path(f"/proc/{hub}/task/{hub}/children").read_text().split() == []


def test_a_lock_on_our_database_does_not_stop_the_hub(platform: Platform, maja: Visitor) -> None:
    ours = platform.settings.database.url.removeprefix("sqlite:///")
    assert ours != hub_database(platform)
    with closing(sqlite3.connect(ours, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            assert maja.hub("GET", "/user").status_code == 200
        database.execute("ROLLBACK")


def test_a_body_of_38_mib_is_refused_and_the_hub_goes_on(platform: Platform, maja: Visitor) -> None:
    body = b'{"user_options": {"x": "' + b"x" * (38 << 20) + b'"}}'
    reply = maja.hub("POST", "/users/maja/servers/large", content=body)
    assert (reply.status_code, reply.headers["X-PanHub-Code"]) == (413, "body_too_large")
    assert maja.hub("GET", "/user").status_code == 200
    assert "large" not in servers(platform, "maja")
    assert not [one for one in maja.api("GET", "/launches").json()["items"] if one["server_name"] == "large"]


def test_a_stop_that_the_engine_was_not_there_for_is_carried_out_when_it_is_back(
    platform: Platform, maja: Visitor
) -> None:
    restart_hub(platform, "--PanSpawner.hand_over_timeout=1")
    launch = maja.wait_for(maja.launch()["id"], "running")
    wait_until_reachable(maja, launch)
    name = launch["server_name"]
    platform.kill("service")
    assert maja.hub("DELETE", f"/users/maja/servers/{name}").status_code in {202, 204}
    wait_until(lambda: not servers(platform, "maja")[name]["pending"], "the hub does not let go")
    assert platform.session_processes(launch["id"]), "the job lives on"
    platform.start("service")
    assert_nothing_is_left(maja, launch)
