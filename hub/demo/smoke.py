"""The whole way of two people at once, without a browser: `panhub smoke`.

Each signs in, is told what would start, starts, runs the template in the session, finds the
result file, and stops. Then what must be refused is tried. Every step is printed with its time,
the recovered peaks beside the values of the table; the exit code is 0 only if all of it is right.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import httpx

from hub.demo.configure import free_ports
from hub.demo.run import Demo, running_demo
from hub.demo.supervisor import SupervisorError
from hub.demo.visitor import VisitError, Visitor

if TYPE_CHECKING:
    from hub.demo.site import DemoSite

T = TypeVar("T")

_MOST_DEG = 0.01
"""Acceptance of the template: no line further from the table than this, in degrees 2θ."""

_FEWEST_LINES = 5


@dataclass(frozen=True, slots=True)
class Walk:
    """Who walks, over which data, and where the result is found below the data root."""

    username: str
    dataset: str
    results: str
    request: Mapping[str, Any] = field(default_factory=dict)


Look = Callable[[Demo, Visitor, Mapping[str, Any], "Report"], Awaitable[None]]
"""A further look at a session: before it is stopped, or at what it left."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is walked: by whom, where, and what else is looked at."""

    walks: tuple[Walk, ...]
    site: DemoSite | None = None
    running: tuple[Look, ...] = ()
    ended: tuple[Look, ...] = ()
    with_desktops: bool = False


WALKS = (
    Walk("maja", "ds-ma5501-lab6-series", "ma5501/id22/*/PROCESSED_DATA/panhub/*_azint.nxs"),
    Walk("rui", "ds-hc4802-ceo2-series", "hc4802/id22/*/PROCESSED_DATA/panhub/*_azint.nxs"),
)


class Report:
    """Prints steps with their times and remembers what went wrong."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    async def step(self, who: str, what: str, work: Awaitable[T]) -> T:
        """Await a step, and print how long it took or why it failed."""
        began = time.monotonic()
        try:
            result = await work
        except (VisitError, httpx.HTTPError, OSError) as error:
            self.line(who, what, time.monotonic() - began, f"FAILED: {error}")
            self.failures.append(f"{who}: {what}: {error}")
            raise
        self.line(who, what, time.monotonic() - began)
        return result

    def line(self, who: str, what: str, seconds: float, note: str = "") -> None:
        """Print one line."""
        print(f"{who:>6}  {what:<58} {seconds:7.2f} s  {note}".rstrip(), flush=True)

    def check(self, who: str, what: str, *, is_right: bool, found: object = "") -> None:
        """Print whether something is as it must be."""
        print(f"{who:>6}  {what:<58} {'right' if is_right else 'WRONG'}  {found}".rstrip(), flush=True)
        if not is_right:
            self.failures.append(f"{who}: {what}: {found}")


_KEPT = {"data", "catalogue", "data-version", "made-on", "lock", "slurm", "kubernetes"}
"""What a run leaves to the next: the facility takes a while to make."""


def run_smoke(state: Path, plan: Plan | None = None) -> int:
    """Run a demo of its own on free ports, walk it, and say whether all was right."""
    report = Report()
    try:
        forget_last_run(state)
        asyncio.run(_smoke(state, plan or Plan(WALKS), report))
    except SupervisorError as error:
        report.failures.append(str(error))
    return told(report)


def told(report: Report) -> int:
    """Say whether all was right; the exit code."""
    if report.failures:
        print("\nNot all is right:")
        for failure in report.failures:
            print(f"  {failure}")
        return 1
    print("\nAll is right.")
    return 0


def forget_last_run(state: Path) -> None:
    """Start with nobody known and nothing charged; results of the last run go too."""
    for entry in state.iterdir() if state.is_dir() else ():
        if entry.name not in _KEPT:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for results in (state / "data/visitor").glob("*/*/*/PROCESSED_DATA/panhub"):
        shutil.rmtree(results)


async def _smoke(folder: Path, plan: Plan, report: Report) -> None:
    def say(line: str) -> None:
        print(f"        {line}", flush=True)

    async with running_demo(folder, free_ports(), say, plan.site, with_desktops=plan.with_desktops) as demo:
        print(f"        {demo.url}", flush=True)
        walks = [_walk(demo, walk, plan, report) for walk in plan.walks]
        for outcome in await asyncio.gather(*walks, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(
                outcome, VisitError | httpx.HTTPError | OSError
            ):
                raise outcome
        await _refusals(demo, report)


async def _walk(demo: Demo, walk: Walk, plan: Plan, report: Report) -> None:
    who = walk.username
    visitor = Visitor(demo.url, who)
    try:
        await report.step(who, "signs in", visitor.sign_in())
        request = {
            "inputs": [{"kind": "dataset", "ref": walk.dataset}],
            "template": "auto",
            "walltime_s": 3600,
            **walk.request,
        }
        said = await report.step(who, "is told what would start", _dry_run(visitor, request))
        report.check(
            who,
            "the template that fits is chosen",
            is_right=(said["template"] or {}).get("id") == "saxs-azimuthal-integration",
            found=(said["template"] or {}).get("title"),
        )
        launch = await report.step(who, "starts a session, until it answers", _start(visitor, request))
        path = f"{launch['summary']['workdir']}/{launch['summary']['template']['notebook']}"
        ran = await report.step(who, "runs all cells of the notebook", visitor.run_notebook(launch, path))
        report.check(
            who, "plots were drawn", is_right=ran.plots > 0, found=f"{ran.plots} in {ran.cells} cells"
        )
        _check_result(demo, walk, launch, report)
        for look in plan.running:
            await look(demo, visitor, launch, report)
        ended = await report.step(who, "stops, until it is charged", _stop(visitor, launch["id"]))
        usage = ended["usage"] or {}
        report.check(
            who,
            "what ran was charged, nothing is held",
            is_right=usage.get("elapsed_seconds", 0) > 0 and await _nothing_held(visitor, request),
            found=f"{usage.get('elapsed_seconds')} s on {usage.get('cpus')} CPU",
        )
        for look in plan.ended:
            await look(demo, visitor, ended, report)
    finally:
        await visitor.aclose()


async def _dry_run(visitor: Visitor, request: dict[str, Any]) -> dict[str, Any]:
    reply = await visitor.api("POST", "/launches", json={**request, "dry_run": True})
    if reply.status_code != 200:
        raise VisitError(f"{reply.status_code} {reply.text[:300]}")
    summary: dict[str, Any] = reply.json()["summary"]
    return summary


async def _start(visitor: Visitor, request: dict[str, Any]) -> dict[str, Any]:
    reply = await visitor.api("POST", "/launches", json=request)
    if reply.status_code != 202:
        raise VisitError(f"{reply.status_code} {reply.text[:300]}")
    return await visitor.wait_for(reply.json()["id"], "running")


async def _stop(visitor: Visitor, launch_id: str) -> dict[str, Any]:
    await visitor.api("DELETE", f"/launches/{launch_id}")
    return await visitor.wait_for(launch_id, "ended")


async def _nothing_held(visitor: Visitor, request: dict[str, Any]) -> bool:
    said = await _dry_run(visitor, request)
    return all(hold["held"] == 0 for hold in said["holds"] if hold["account"] != "hc4802")


def _check_result(demo: Demo, walk: Walk, launch: dict[str, Any], report: Report) -> None:
    """The result file: peaks beside the table, and where it comes from."""
    root = demo.settings.data.root
    files = sorted(root.glob(walk.results), key=lambda path: path.stat().st_mtime)
    report.check(walk.username, "a result file is in the processed folder", is_right=bool(files))
    if not files:
        return
    with h5py.File(files[-1], "r") as file:
        entry = file[file.attrs.get("default", "entry")]
        found = entry["peaks/two_theta_deg"][()]
        table = entry["peaks/table_two_theta_deg"][()]
        names = [name.decode() for name in entry["peaks/hkl"][()]]
        provenance = _text_of(entry)
    _print_peaks(walk.username, names, found, table)
    worst = max(abs(a - b) for a, b in zip(found, table, strict=True)) if len(found) else float("inf")
    report.check(
        walk.username,
        f"{len(found)} lines are within {_MOST_DEG}° of the table",
        is_right=len(found) >= _FEWEST_LINES and worst <= _MOST_DEG,
        found=f"worst {worst:.4f}°",
    )
    lock = launch["summary"]["template"]["version"]
    for what, text in (
        ("template", "saxs-azimuthal-integration"),
        ("template's version", lock),
        ("launch", launch["id"]),
        ("data set", walk.dataset),
    ):
        report.check(walk.username, f"the result names its {what}", is_right=text in provenance, found=text)


def _text_of(group: h5py.Group) -> str:
    """All texts below a group, to look for what must be named there."""
    texts: list[str] = []

    def visit(_name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "OS" and item.shape == ():
            value = item[()]
            texts.append(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))

    group.visititems(visit)
    return "\n".join(texts)


def _print_peaks(who: str, names: Sequence[str], found: Sequence[float], table: Sequence[float]) -> None:
    print(f"{who:>6}  {'hkl':>10} {'found 2θ/°':>12} {'table 2θ/°':>12} {'difference':>12}")
    for name, a, b in zip(names, found, table, strict=True):
        print(f"{who:>6}  {name:>10} {a:12.4f} {b:12.4f} {a - b:12.4f}")


async def _refusals(demo: Demo, report: Report) -> None:
    """What must not start, on every way in."""
    outsider = Visitor(demo.url, "rui")
    industrial = Visitor(demo.url, "yuki")
    try:
        await report.step("rui", "signs in again", outsider.sign_in())
        await report.step("yuki", "signs in", industrial.sign_in())
        secret = {"inputs": [{"kind": "dataset", "ref": "ds-ma5501-lab6-series"}]}
        unknown = {"inputs": [{"kind": "dataset", "ref": "ds-there-is-none"}]}
        tries: list[tuple[Visitor, str, dict[str, Any], str]] = [
            (outsider, "other people's data is refused", secret, "not_found_or_not_entitled"),
            (outsider, "data that is not there looks the same", unknown, "not_found_or_not_entitled"),
            (industrial, "other people's data is refused", secret, "not_found_or_not_entitled"),
            (outsider, "99 days are refused", {"walltime_s": 99 * 86400}, "invalid_request"),
            (outsider, "a whole day is refused by the profile", {"walltime_s": 86400}, "walltime_exceeded"),
            (outsider, "more than the quota has left is refused", {"walltime_s": 8 * 3600}, "quota_exceeded"),
            (outsider, "an unknown profile is refused", {"profile": "root"}, "profile_unknown"),
            (outsider, "a stray key is refused", {"cpus": 9999}, "invalid_request"),
        ]
        for visitor, what, request, code in tries:
            await _both_ways(visitor, what, request, code, report)
    finally:
        await outsider.aclose()
        await industrial.aclose()


async def _both_ways(visitor: Visitor, what: str, request: dict[str, Any], code: str, report: Report) -> None:
    """Try a request by the spawn API and by plain hub REST."""
    ways: tuple[tuple[str, Callable[[], Awaitable[httpx.Response]]], ...] = (
        ("API", lambda: visitor.api("POST", "/launches", json=request)),
        (
            "hub",
            lambda: visitor.hub(
                "POST", f"/users/{visitor.username}/servers/smoke", json={"user_options": request}
            ),
        ),
    )
    for way, call in ways:
        reply = await call()
        got = reply.headers.get("X-PanHub-Code") or _code_of(reply)
        is_right = 400 <= reply.status_code < 500 and got == code
        report.check(
            visitor.username, f"{what} ({way})", is_right=is_right, found=f"{reply.status_code} {got}"
        )


def _code_of(reply: httpx.Response) -> str:
    try:
        return str(reply.json().get("code", ""))
    except ValueError:
        return ""
