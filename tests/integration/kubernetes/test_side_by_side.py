"""Slurm and Kubernetes in one platform: one person at both, and launches that go where they start first."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from hub.demo.kubernetes.cluster import Cluster
from hub.demo.sidebyside import PAYER
from tests.support.afterwards import assert_books_are_right, assert_nothing_is_left
from tests.support.browsing import LAPTOP, PATIENCE_MS, PHONE, Album, Guest, chromium, guest
from tests.support.platform import Visitor, wait_until
from tests.support.sidebyside_platform import SideBySidePlatform, running_side_by_side_platform

pytestmark = pytest.mark.timeout(300)

_DATA = {"inputs": [{"kind": "dataset", "ref": "ds-ma5501-lab6-series"}], "profile": "lab"}
_DOCUMENTED = {"both-places": "both-places"}
_STARTS_WITHIN_S = 120.0
_FULL_FOR = timedelta(minutes=30)

_LOOK = """
import errno, json, os, pathlib
data = pathlib.Path(os.environ.get("PANHUB_DATA", "/")) / "data/visitor"
raw, processed = (next(data.glob(f"*/*/*/{name}_DATA")) for name in ("RAW", "PROCESSED"))
try:
    (raw / "written").touch()
    said = "written"
except OSError as error:
    said = errno.errorcode[error.errno]
notes = [pathlib.Path.home() / "side-by-side.txt", processed / "side-by-side.txt"]
found = [note.read_text() if note.exists() else "" for note in notes]
for note in notes:
    note.open("a").write("written;")
print(json.dumps({
    "ids": [os.getuid(), os.getgid(), sorted({os.getgid(), *os.getgroups()})],
    "owners": [note.stat().st_uid for note in notes],
    "found": found,
    "raw": said,
    "files": sorted(path.name for path in raw.iterdir()),
}))
"""
"""Who one is there, what a session before has left in the home and beside the data, and leaves the same."""


@pytest.fixture(scope="module")
def platform(cluster: Cluster) -> Iterator[SideBySidePlatform]:
    with running_side_by_side_platform(cluster) as platform:
        yield platform
        (platform.slurm.homes / "maja/side-by-side.txt").unlink(missing_ok=True)
        assert_books_are_right(platform)


@pytest.fixture(scope="module")
def maja(platform: SideBySidePlatform) -> Visitor:
    return platform.sign_in("maja")


@pytest.fixture(scope="module")
def full_slurm(platform: SideBySidePlatform) -> Iterator[None]:
    """Somebody else's jobs have all CPUs of the CPU nodes, for half an hour as Slurm knows it."""
    minutes = int(_FULL_FOR.total_seconds() / 60)
    wishes = {"account": "default", "partition": "cpu", "cpus_per_task": 32, "mem": 1000, "time": minutes}
    for _ in range(2):
        job = platform.slurm.submit_for_test("tobi", "sleep 1800", **wishes)
        platform.slurm.wait_job(job, "RUNNING")
    yield
    platform.slurm.cancel_all()


def plan(visitor: Visitor, **request: Any) -> dict[str, Any]:
    """What a launch would be."""
    reply = visitor.api("POST", "/launches", json={**_DATA, "dry_run": True, **request})
    assert reply.status_code == 200, reply.text
    summary: dict[str, Any] = reply.json()["summary"]
    return summary


def starts_in(forecast: dict[str, Any]) -> timedelta:
    """How far away an expected start is."""
    return datetime.fromisoformat(forecast["expected_start"]) - datetime.now(UTC)


def charged(platform: SideBySidePlatform, launch_id: str) -> list[tuple[str, str, int]]:
    """CPU-seconds of each charge of a launch, with the kind and name of the account."""
    rows = platform.database(
        "SELECT a.kind, a.key, e.used FROM quota_entries e JOIN quota_accounts a ON a.id = e.account_id"
        " WHERE e.launch_id = :id AND e.kind = 'charge' AND a.resource = 'cpu_seconds'",
        id=launch_id,
    )
    return [(str(kind), str(key), int(used)) for kind, key, used in rows]


def run(maja: Visitor, launch: dict[str, Any]) -> dict[str, Any]:
    """What `_LOOK` finds in a session that starts now; the session is over afterwards, and its charge is."""
    running = maja.wait_for(launch["id"], "running", timeout_s=_STARTS_WITHIN_S)
    found: dict[str, Any] = json.loads(maja.open_session(running).run(_LOOK))
    maja.api("DELETE", f"/launches/{launch['id']}")
    assert_nothing_is_left(maja, launch)
    return found


def test_a_launch_goes_where_it_starts_first_with_the_payer_of_that_place(
    platform: SideBySidePlatform, maja: Visitor, request: pytest.FixtureRequest
) -> None:
    # 1. Slurm has room: of places that start alike the first one is the soonest.
    said = plan(maja, place="soonest")
    others = {one["place"]["id"]: one for one in said["alternatives"]}
    assert (said["place"]["id"], said["is_soonest"]) == ("cpu", True)
    assert said["payer"] == {"id": "proposal", "title": "ma5501"}
    assert others["pods"]["payer"] == {"id": "facility", "title": PAYER}
    assert starts_in(others["pods"]) < timedelta(seconds=30)
    assert "is not on the storage" in others["remote"]["why_not"]
    launch = maja.launch(**_DATA, place="cpu", overflow=True)
    on_slurm = run(maja, launch)
    assert set(platform.handle_of(launch["id"])) >= {"job"}
    (paid,) = charged(platform, launch["id"])
    assert paid[:2] == ("proposal", "ma5501")

    # 2. It has none: the plan says where it goes instead, why, and who pays.
    request.getfixturevalue("full_slurm")

    def overflowed() -> dict[str, Any] | None:
        found = plan(maja, place="cpu", overflow=True)
        return found if found["place"]["id"] != "cpu" else None

    found = wait_until(overflowed, "a launch does not go elsewhere")
    assert found is not None
    assert (found["place"]["id"], found["instead_of"]["id"]) == ("pods", "cpu")
    assert found["payer"] == {"id": "facility", "title": PAYER}
    assert {hold["account"] for hold in found["holds"] if hold["resource"] == "cpu_seconds"} == {PAYER}
    others = {one["place"]["id"]: one for one in found["alternatives"]}
    assert _FULL_FOR - timedelta(minutes=5) < starts_in(others["cpu"]) < _FULL_FOR + timedelta(minutes=5)
    assert plan(maja, place="soonest")["place"]["id"] == "pods"

    # 3. It runs there, as the same person with the same files, and is charged to that payer alone.
    launch = maja.launch(**_DATA, place="cpu", overflow=True)
    in_a_pod = run(maja, launch)
    account = pwd.getpwnam("maja")
    # A job's view, made without privileges, has no names for further groups; the kernel judges by them.
    assert on_slurm["ids"][:2] == in_a_pod["ids"][:2] == [account.pw_uid, account.pw_gid]
    assert in_a_pod["ids"][2] == sorted(os.getgrouplist("maja", account.pw_gid))
    assert in_a_pod["files"] == on_slurm["files"]
    assert in_a_pod["found"][0].startswith("written;")
    assert in_a_pod["found"] == [text + "written;" for text in on_slurm["found"]]
    assert set(in_a_pod["owners"] + on_slurm["owners"]) == {account.pw_uid}
    assert {on_slurm["raw"], in_a_pod["raw"]} <= {"EROFS", "EACCES"}
    ended = maja.get(launch["id"])
    assert (ended["place"]["id"], ended["request"]["place"]) == ("pods", "cpu")
    usage = ended["usage"]
    assert charged(platform, launch["id"]) == [("facility", PAYER, usage["elapsed_seconds"] * usage["cpus"])]
    assert all(hold["held"] == 0 for hold in plan(maja, place="pods")["holds"])


def test_without_overflow_it_waits_at_slurm_and_says_why(
    platform: SideBySidePlatform, maja: Visitor, full_slurm: None
) -> None:
    launch = maja.launch(**_DATA, place="cpu")

    def waits() -> dict[str, Any] | None:
        found = maja.get(launch["id"])
        return found if found["pending_reason"] and found["expected_start"] else None

    waiting = wait_until(waits, "it does not say why it waits")
    assert waiting is not None
    assert waiting["place"]["id"] == "cpu"
    assert re.search("resources|priority", waiting["pending_reason"])
    assert starts_in(waiting) > _FULL_FOR - timedelta(minutes=5)
    assert platform.pods_of(launch["id"]) == []
    maja.api("DELETE", f"/launches/{launch['id']}")
    assert_nothing_is_left(maja, launch)
    assert charged(platform, launch["id"]) == []


def test_where_the_data_is_not_it_is_refused_with_the_places_that_have_it(maja: Visitor) -> None:
    reply = maja.api("POST", "/launches", json={**_DATA, "place": "remote"})
    said = reply.json()
    assert (reply.status_code, said["code"]) == (409, "data_not_here")
    # Those of the profile; others have further ones.
    assert [one["id"] for one in said["places"] if one["profile"] is None] == ["cpu", "pods"]
    assert "“LaB6" in said["detail"]
    # Who lets another place be taken goes where the data is; without data the place is as good as any.
    assert plan(maja, place="remote", overflow=True)["instead_of"]["id"] == "remote"
    assert plan(maja, place="remote", inputs=[])["place"]["id"] == "remote"


async def test_form_and_card_are_the_same_for_both(
    platform: SideBySidePlatform, maja: Visitor, full_slurm: None
) -> None:
    async with chromium() as browser, guest(browser, platform, Album(_DOCUMENTED)) as person:
        page = person.page
        summary, card = page.locator("#launch-summary"), page.locator("article.session")
        await person.sign_in("Maja Lindqvist")

        # 1. What is free at each, when it would start, who pays; the place without the data cannot be taken.
        await person.go("new?input=dataset:ds-ma5501-lab6-series&profile=lab&place=cpu")
        in_half_an_hour = re.compile("in about (25|30) min.*0 of 64 free", re.DOTALL)
        await expect(place(page, "cpu")).to_contain_text(in_half_an_hour, timeout=PATIENCE_MS)
        await expect(place(page, "pods")).to_contain_text(re.compile("now.*2 of 2 rooms kept", re.DOTALL))
        await expect(place(page, "pods")).to_contain_text("Paid by")
        await expect(place(page, "soonest")).to_contain_text(re.compile("now.*on Containers", re.DOTALL))
        await expect(page.get_by_role("radio", name="Containers, far from the data")).to_be_disabled()

        # 2. Overflow: the summary says where it goes, in place of which, and who pays there.
        async with page.expect_response(re.compile("/parts/summary$")):
            await page.get_by_label("Or elsewhere, if it starts there sooner").check(force=True)
        await expect(summary.locator("li", has_text="instead of CPU nodes")).to_contain_text("Containers")
        await expect(summary).to_contain_text(PAYER)
        await expect(page.locator("#auto-payer")).to_have_text(f"Facility account {PAYER}")
        await expect(summary).to_contain_text(re.compile("CPU nodes *in about (25|30) min"))
        await see_in_all_looks(person, "both-form")
        await page.locator("#places").evaluate("places => places.scrollIntoView({behavior: 'instant'})")
        await person.album.add(page, "both-places")

        # 3. It starts there and opens by itself; its card says where it runs and who pays.
        await page.get_by_role("button", name="Start", exact=True).click()
        await page.wait_for_url("**/launches/*")
        launch_id = page.url.rpartition("/")[2]
        await expect(page.locator("#progress")).to_contain_text("Containers, instead of CPU nodes")
        await person.see("both-progress")
        await page.wait_for_url("**/user/**", timeout=2 * PATIENCE_MS)
        await person.go()
        await expect(card.locator("dl")).to_contain_text("Containers")
        await expect(card).to_contain_text(PAYER)
        await see_in_all_looks(person, "both-home")
    await asyncio.to_thread(maja.api, "DELETE", f"/launches/{launch_id}")
    await asyncio.to_thread(maja.wait_for, launch_id, "ended")


def place(page: Page, value: str) -> Locator:
    """Card of a place."""
    return page.locator(".place", has=page.locator(f"input[value={value}]"))


async def see_in_all_looks(person: Guest, name: str) -> None:
    """Look at the page on a desk and on a phone, in light and in dark."""
    for device, size in {"": LAPTOP, "-phone": PHONE}.items():
        for look in ("light", "dark"):
            await person.page.set_viewport_size(size)
            await person.page.emulate_media(color_scheme=look)
            await person.see(f"{name}{device}{'-dark' if look == 'dark' else ''}", whole=True)
    await person.page.set_viewport_size(LAPTOP)
    await person.page.emulate_media(color_scheme="light")
