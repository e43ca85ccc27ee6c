"""The whole way of a desktop, without a browser: `panhub smoke --desktop`.

One starts a desktop and types into a terminal, a second is invited to look, an outsider tries every way
in, control is handed over and taken back, and all are told when it ends. What is typed is looked for twice:
as pixels that change, and as files that it makes. Every step is printed with its time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from hub.demo.configure import free_ports
from hub.demo.picture import changed
from hub.demo.run import running_demo
from hub.demo.smoke import Report, forget_last_run, told
from hub.demo.supervisor import SupervisorError
from hub.demo.visitor import VisitError, Visitor
from hub.demo.window import Window
from hub.desktop.status import Status

if TYPE_CHECKING:
    from hub.demo.site import DemoSite

_QUIET_S = 3.0
"""So long it is watched that what must not show does not show; a key shows within a tenth of a second."""

_SLACK_S = 3.0
"""A charge is in whole seconds, and what is charged begins a little before the session answers."""

_FEW = 40
"""More pixels than this differ when a word is written; a letter of the clock has fewer."""

_REQUEST = {
    "interface": "desktop",
    "profile": "desktop",
    "inputs": [{"kind": "dataset", "ref": "ds-ma5501-lab6-series"}],
    "walltime_s": 3600,
}


def run_desktop_smoke(state: Path, site: DemoSite | None = None) -> int:
    """Run a demo of its own on free ports, go the way of a desktop, and say whether all was right."""
    report = Report()
    try:
        forget_last_run(state)
        asyncio.run(_smoke(state, site, report))
    except SupervisorError as error:
        report.failures.append(str(error))
    except (VisitError, httpx.HTTPError, OSError):
        pass  # the report has it
    return told(report)


async def _smoke(state: Path, site: DemoSite | None, report: Report) -> None:
    def say(line: str) -> None:
        print(f"        {line}", flush=True)

    async with running_demo(state, free_ports(), say, site) as demo:
        if demo.settings.desktop is None:
            raise SupervisorError("Desktops cannot run on this machine; above it says why.")
        print(f"        {demo.url}", flush=True)
        owner, guest, outsider = (Visitor(demo.url, name) for name in ("maja", "tobi", "rui"))
        walk = Walk(owner, guest, outsider, report, {"place": site.place} if site else {})
        try:
            await walk.go()
        finally:
            await walk.aclose()


class Walk:
    """The walk: ``owner`` has the desktop, ``guest`` is on the team, ``outsider`` is nobody here."""

    def __init__(
        self,
        owner: Visitor,
        guest: Visitor,
        outsider: Visitor,
        report: Report,
        more: Mapping[str, Any],
    ) -> None:
        self.owner, self.guest, self.outsider = owner, guest, outsider
        self.report = report
        self._request = {**_REQUEST, **more}
        self._windows: list[Window] = []
        self.desktop = ""

    async def go(self) -> None:
        """All of it."""
        for person in (self.owner, self.guest, self.outsider):
            await self._step(person, "signs in", person.sign_in())
        launch = await self._step(self.owner, "starts a desktop, until it answers", self.start())
        mine = await self._step(self.owner, "opens it, until it is drawn", self.open(self.owner))
        await self._step(self.owner, "opens a terminal, until it is drawn", self.terminal(mine))
        await self._step(self.owner, "types, until it is seen", _types(mine, "touch by-owner"))
        await self._files("by-owner")

        await self._step(self.owner, "invites a viewer", self._give("viewer"))
        theirs = await self._step(self.guest, "joins, until it is drawn", self.open(self.guest))
        await self._step(self.guest, "sees the same", _same(mine, theirs))
        await self._types_in_vain(theirs, mine, "touch by-viewer", "a viewer")
        await self._strangers()

        await self._step(self.owner, "lets the guest have control", self._hand_over(self.guest))
        await theirs.aclose()
        theirs = await self._step(self.guest, "comes back to type", self.open(self.guest))
        await self._step(self.guest, "types, until the owner sees it", _types(theirs, "touch by-guest", mine))
        await self._files("by-guest")
        await self._types_in_vain(mine, theirs, "touch without-control", "who gave control away")
        await self._step(self.owner, "takes control back", self._hand_over(self.owner))
        await self._types_in_vain(theirs, mine, "touch after-control", "whose control was taken back")
        await self._files_are({"by-owner", "by-guest"})
        await self._end(launch, [(self.owner, mine), (self.guest, theirs)])

    async def aclose(self) -> None:
        """Leave everything."""
        for window in self._windows:
            await window.aclose()
        for person in (self.owner, self.guest, self.outsider):
            await person.aclose()

    async def _step(self, person: Visitor, what: str, work: Any) -> Any:
        return await self.report.step(person.username, what, work)

    def _check(self, person: Visitor, what: str, *, is_right: bool, found: object = "") -> None:
        self.report.check(person.username, what, is_right=is_right, found=found)

    # --- the owner's -----------------------------------------------------------------------------

    async def start(self) -> dict[str, Any]:
        """Start the owner's desktop, until it answers."""
        reply = await self.owner.api("POST", "/launches", json=self._request)
        if reply.status_code != 202:
            raise VisitError(f"{reply.status_code} {reply.text[:300]}")
        launch = await self.owner.wait_for(reply.json()["id"], "running")
        self.desktop = str(launch["id"])
        return launch

    async def terminal(self, window: Window) -> None:
        """Open a terminal by the desktop's menu, until it is drawn."""
        before = await window.calm(_QUIET_S)
        await window.click(300, 300, button=3)
        await window.change(before, 1000)
        await window.calm()
        await window.press(ord("t"))
        await window.change(before, 20_000)
        await window.calm()

    async def _give(self, role: str) -> None:
        await self._manage("POST", "/members", {"username": self.guest.username, "role": role})

    async def _hand_over(self, person: Visitor) -> None:
        if person is self.guest:
            await self._give("control")
        await self._manage("POST", "/control", {"to": person.username})

    async def _manage(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        reply = await self.owner.api(method, f"/desktops/{self.desktop}{path}", json=body)
        if reply.status_code >= 300:
            raise VisitError(f"{path}: {reply.status_code} {reply.text[:300]}")

    # --- windows ----------------------------------------------------------------------------------

    async def _ticket(self, person: Visitor) -> str:
        reply = await person.api("POST", f"/desktops/{self.desktop}/tickets", json={"screen": 1})
        if reply.status_code not in {200, 201}:
            raise VisitError(f"no ticket: {reply.status_code} {reply.text[:300]}")
        return str(reply.json()["ticket"])

    async def open(self, person: Visitor) -> Window:
        """Open the desktop's page and a window, until it is drawn."""
        await person.open_desktop(self.desktop)
        window = await Window.open(person, await self._ticket(person))
        self._windows.append(window)
        await window.drawn()
        return window

    async def _types_in_vain(self, window: Window, watched: Window, text: str, who: str) -> None:
        """Neither their own picture nor another's changes, and the file that it would make is not made."""
        before = await watched.calm()
        own = window.pixels
        await window.write(f"{text}\n")
        await asyncio.sleep(_QUIET_S)
        seen = max(changed(before, watched.pixels), changed(own, window.pixels))
        self._check(
            window.visitor, f"what {who} types is not seen", is_right=seen <= _FEW, found=f"{seen} pixels"
        )

    async def _files(self, name: str) -> None:
        deadline = time.monotonic() + 10
        there = await self._home()
        while name not in there and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            there = await self._home()
        self._check(self.owner, f"the command ran: {name} is there", is_right=name in there)

    async def _files_are(self, wanted: set[str]) -> None:
        made = {name for name in await self._home() if name.startswith(("by-", "without-", "after-"))}
        self._check(
            self.owner, "no other command ran", is_right=made == wanted, found=", ".join(sorted(made))
        )

    async def _home(self) -> set[str]:
        """What lies in the folder that the terminal starts in, by the session's own JupyterLab."""
        launch = (await self.owner.api("GET", f"/launches/{self.desktop}")).json()
        return await self.owner.files_of(launch, launch["summary"]["workdir"])

    # --- others -----------------------------------------------------------------------------------

    async def _strangers(self) -> None:
        """Nobody gets in without a ticket of their own for a desktop that they are invited to."""
        nobody = self.outsider
        for what, desktop in (("of this desktop", self.desktop), ("of one that is not there", "0" * 16)):
            reply = await nobody.api("POST", f"/desktops/{desktop}/tickets", json={"screen": 1})
            said = reply.json().get("code", "")
            self._check(nobody, f"gets no ticket {what}", is_right=reply.status_code == 404, found=said)
        # The outsider is signed in at the tunnel as everybody is: only tickets are missing.
        await nobody.sign_in_to_tunnel()
        used = await self._ticket(self.owner)
        self._windows.append(window := await Window.open(self.owner, used))
        await window.drawn()
        await window.aclose()
        tries: list[tuple[str, Visitor, str]] = [
            ("without a ticket", nobody, ""),
            ("with a ticket of their own making", nobody, "A" * 22),
            ("with a used ticket", nobody, used),
            ("with somebody else's ticket", nobody, await self._ticket(self.owner)),
            ("with a used ticket, its owner", self.owner, used),
        ]
        for what, person, ticket in tries:
            window = await Window.open(person, ticket)
            self._windows.append(window)
            status = await window.closed()
            is_right = status == Status.CLIENT_UNAUTHORIZED and not window.pixels.size
            self._check(person, f"is not let in {what}", is_right=is_right, found=f"{status:#06x}")

    # --- the end ----------------------------------------------------------------------------------

    async def _end(self, launch: Mapping[str, Any], windows: list[tuple[Visitor, Window]]) -> None:
        await self._step(self.owner, "stops it, until it is charged", self.stop())
        for person, window in windows:
            status = await self._step(person, "is told", window.closed())
            is_right = status == Status.SESSION_CLOSED
            self._check(
                person, "is told that it ended", is_right=is_right, found=f"{status:#06x} {window.said}"
            )
        ended = (await self.owner.api("GET", f"/launches/{self.desktop}")).json()
        usage = ended["usage"] or {}
        lived = _seconds(ended["ended_at"]) - _seconds(launch["running_at"])
        elapsed = usage.get("elapsed_seconds", 0)
        began = _seconds(launch["running_at"]) - _seconds(launch["created_at"])
        self._check(
            self.owner,
            "what ran was charged",
            is_right=lived - _SLACK_S <= elapsed <= lived + began + _SLACK_S,
            found=f"{elapsed} s on {usage.get('cpus')} CPU; ran {lived:.0f} s, start took {began:.0f} s",
        )

    async def stop(self) -> dict[str, Any]:
        """Stop the session, until it is charged."""
        await self.owner.api("DELETE", f"/launches/{self.desktop}")
        return await self.owner.wait_for(self.desktop, "ended")


async def _types(window: Window, command: str, watched: Window | None = None) -> None:
    """Type a command, and wait until all of it is seen."""
    watched = watched or window
    before = await watched.calm()
    await window.write(command)
    await watched.change(before, _FEW * 4)
    await window.write("\n")
    await watched.calm()


async def _same(one: Window, other: Window) -> None:
    """Two windows show the same, pixel by pixel, as soon as nothing moves."""
    await one.calm()
    same: Callable[[], bool] = lambda: changed(one.picture.pixels, other.picture.pixels) == 0  # noqa: E731
    await other.wait("the same picture", same)


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
