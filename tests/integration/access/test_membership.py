"""A change of access acts on sessions that run; a catalogue that cannot answer ends none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.demo_access import dataset
from tests.support.platform import Platform, Visitor, wait_until

SignIn = Callable[[str], Visitor]

_SEEN_AFTER_S = 8.0
"""The catalogue looks for changed files every 5 s, and access is decided anew every second."""


@contextmanager
def edited(platform: Platform, change: Callable[[str], str]) -> Iterator[None]:
    """The catalogue's file of ma5501 with a change, put back afterwards."""
    path: Path = platform.settings.catalogue.folder / "proposals" / "ma5501.yaml"
    before = path.read_text()
    path.write_text(change(before))
    try:
        yield
    finally:
        path.write_text(before)


def team(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Callable[[str], str]:
    """A change of the team in the text of a proposal."""

    def edit(text: str) -> str:
        raw = yaml.safe_load(text)
        raw["proposals"][0]["team"] = change(raw["proposals"][0]["team"])
        return yaml.safe_dump(raw)

    return edit


def without_tobi(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [member for member in members if member["user_id"] != "100102"]


def tobi_reads_only(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [m | {"role": "Collaborator"} if m["user_id"] == "100102" else m for m in members]


def test_who_leaves_the_team_loses_the_session_with_its_data(platform: Platform, person: SignIn) -> None:
    tobi, maja = person("tobi"), person("maja")
    lost = tobi.launch(inputs=[dataset("ma5501")])
    plain = tobi.launch()
    stays = maja.launch(inputs=[dataset("ma5501")])
    for who, launch in ((tobi, lost), (tobi, plain), (maja, stays)):
        who.wait_for(launch["id"], "running")
    with edited(platform, team(without_tobi)):
        assert_lost(platform, tobi, lost, "You may no longer read ma5501")
        assert "launch_access_lost" in tobi.page().text
        assert tobi.get(plain["id"])["state"] == "running"
        assert maja.get(stays["id"])["state"] == "running"
    for who, launch in ((tobi, plain), (maja, stays)):
        who.api("DELETE", f"/launches/{launch['id']}")
        who.wait_for(launch["id"], "ended")


def test_who_may_no_longer_write_loses_the_session(platform: Platform, person: SignIn) -> None:
    tobi = person("tobi")
    wait_until(lambda: _mode(tobi) == "rw", "the catalogue is not as it was")
    lost = tobi.launch(inputs=[dataset("ma5501")])
    tobi.wait_for(lost["id"], "running")
    with edited(platform, team(tobi_reads_only)):
        assert_lost(platform, tobi, lost, "You may no longer write to /data/visitor/ma5501/")


def assert_lost(platform: Platform, who: Visitor, launch: dict[str, Any], said: str) -> None:
    ended = who.wait_for(launch["id"], "ended")
    assert ended["end_reason"] == "access_lost"
    assert ended["usage"]["elapsed_seconds"] > 0
    told = [row[0] for row in platform.database(_EVENTS, id=launch["id"])]
    assert any(message.startswith(said) for message in told), told
    wait_until(lambda: not platform.session_processes(launch["id"]), "the session's processes live on")


def _mode(who: Visitor) -> str:
    """How the processed data of ma5501 would be shown now."""
    reply = who.api("POST", "/launches", json={"dry_run": True, "inputs": [dataset("ma5501")]})
    mounts = reply.json().get("summary", {}).get("mounts", ())
    return next((m["mode"] for m in mounts if m["path"].endswith("PROCESSED_DATA")), "none")


_EVENTS = "SELECT message FROM launch_events WHERE launch_id = :id"


def test_a_blocked_person_loses_the_session(platform: Platform, person: SignIn) -> None:
    yuki = person("yuki")
    launch = yuki.launch()
    yuki.wait_for(launch["id"], "running")
    _block(platform, "yuki", is_blocked=True)
    try:
        operator = person("sam")
        wait_until(lambda: operator.get(launch["id"])["state"] == "ended", "the session goes on")
        assert operator.get(launch["id"])["end_reason"] == "access_lost"
        assert yuki.api("GET", "/launches").status_code == 403
    finally:
        _block(platform, "yuki", is_blocked=False)


def _block(platform: Platform, username: str, *, is_blocked: bool) -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine(platform.settings.database.url)
    try:
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE persons SET is_blocked = :blocked WHERE username = :name"),
                {"blocked": is_blocked, "name": username},
            )
    finally:
        engine.dispose()


def test_a_catalogue_that_cannot_answer_ends_nothing(platform: Platform, person: SignIn) -> None:
    tobi = person("tobi")
    wait_until(lambda: _mode(tobi) == "rw", "the catalogue is not as it was")
    launch = tobi.launch(inputs=[dataset("ma5501")])
    tobi.wait_for(launch["id"], "running")
    with edited(platform, lambda text: text + "\n: [broken"):
        time.sleep(_SEEN_AFTER_S)
        assert tobi.get(launch["id"])["state"] == "running"
    [folder] = platform.settings.data.root.glob("ma5501/id22/*/PROCESSED_DATA")
    away = folder.rename(folder.with_name("MOVED"))
    try:
        time.sleep(3)
        assert tobi.get(launch["id"])["state"] == "running"
    finally:
        away.rename(folder)
    tobi.api("DELETE", f"/launches/{launch['id']}")
    tobi.wait_for(launch["id"], "ended")
