"""Pages and changes around sessions: home, progress, stop, extend, relaunch."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from sqlalchemy.orm import Session

from hub.launch import store
from hub.launch.ledgering import holder_of
from hub.launch.models import LaunchRequest
from hub.launch.news import utcnow
from hub.launch.states import EndReason
from hub.launch.store import Launch
from hub.pages.base import RECENT_NOTICE, PageHandler
from hub.pages.cards import Cards
from hub.pages.refusing import meter_view
from hub.pages.sessionviews import HomeView, RecentRow
from hub.pages.shared import coming_of, company_of, shared_with, with_company, workstations_of
from hub.pages.state import fields_of, state_of, to_request
from hub.pages.summaries import paying_accounts
from hub.pages.views import Meter
from hub.problems import RequestError
from quota.models import AccountKind, AccountRef, Resource

_STOP_WAIT_S = 10.0
"""How long a person who stops one session to start another waits for its end."""


class HomeBase(PageHandler):
    """What the home page and its fragments share."""

    async def home(self, query: str = "") -> HomeView:
        """All of the home page."""
        live = await self.live_launches()
        over = await self.recent_launches(60)
        cards = self.cards(live, await self.app.outlooks.of_all(live))
        company = await company_of(self.app, self.person, live)
        stations = await workstations_of(self.app, self.person)
        return HomeView(
            cards=tuple(with_company(cards.card(launch), company) for launch in live),
            shared=await shared_with(self.app, self.person, stations),
            coming=coming_of(stations),
            notices=self._notices(cards, over),
            recent=_matching([cards.recent(launch) for launch in over], query),
            meters=await self.meters([*live, *over]),
            query=query,
        )

    def _notices(self, cards: Cards, over: Sequence[Launch]) -> tuple:  # type: ignore[type-arg]
        since = utcnow() - RECENT_NOTICE
        fresh = [x for x in over if x.created_at > since and not x.is_dismissed]
        found = [cards.notice(launch) for launch in fresh]
        return tuple(notice for notice in found if notice is not None)[:3]

    async def meters(self, launches: Sequence[Launch]) -> tuple[Meter, ...]:
        """What is left to this person: their own accounts and those of proposals they worked for."""
        return await self.app.db.run(lambda s: own_meters(self, s, launches))


def own_meters(handler: PageHandler, session: Session, launches: Sequence[Launch]) -> tuple[Meter, ...]:
    """Meters of a person and of the other accounts that paid for some launches."""
    person = handler.person
    accounts = [AccountRef(AccountKind.PERSON, person.username)]
    accounts += paying_accounts(launches)
    found = handler.app.books.ledger.meters(session, accounts, now=utcnow(), holder=holder_of(person))
    return tuple(meter_view(meter, own=person.username) for meter in found)


def _matching(rows: Sequence[RecentRow], query: str) -> tuple[RecentRow, ...]:
    words = query.lower().split()
    return tuple(
        row
        for row in rows
        if all(
            word in f"{row.title} {row.proposal} {row.data} {row.end_reason or row.state}".lower()
            for word in words
        )
    )


class HomePage(HomeBase):
    """``/``"""

    async def get(self) -> None:
        """Sessions, recent ones, what is left."""
        position = self.app.feed.position(self.person.username)
        home = await self.home(self.get_query_argument("q", "")[:100])
        self.show("home.html", home=home, position=position)


class HomePart(HomeBase):
    """``/parts/{sessions,recent,meters}``"""

    async def get(self, name: str) -> None:
        """One part of the home page."""
        home = await self.home(self.get_query_argument("q", "")[:100])
        if name == "meters":
            self.show("parts/meters.html", meters=home.meters)
        else:
            self.show(f"parts/{name}.html", home=home)


class SessionsCsv(HomeBase):
    """``/sessions.csv``"""

    async def get(self) -> None:
        """Recent sessions as a table."""
        home = await self.home(self.get_query_argument("q", "")[:100])
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="sessions.csv"')
        self.finish(sessions_csv(home.recent))


def sessions_csv(rows: Sequence[RecentRow]) -> str:
    """CSV of sessions; a cell that a spreadsheet would run as a formula is quoted."""
    out = io.StringIO()
    writer = csv.writer(out)
    used = (Resource.CPU_SECONDS, Resource.GPU_SECONDS, Resource.MIB_SECONDS)
    names = ["launch", "title", "proposal", "data", "state", "end", "asked_at", "ran_s"]
    writer.writerow([*names, *(resource.value for resource in used)])
    for row in rows:
        amounts = {amount.resource: amount.value for amount in row.recorded}
        cells = [row.launch_id, row.title, row.proposal, row.data, row.state.value, row.end_reason or ""]
        safe = [f"'{cell}" if str(cell)[:1] in "=+-@\t\r" and cell else cell for cell in cells]
        writer.writerow(
            [*safe, row.at.isoformat(), int(row.ran.total_seconds()), *(amounts.get(r, 0) for r in used)]
        )
    return out.getvalue()


class ProgressPage(PageHandler):
    """``/launches/{id}`` and its fragment"""

    template = "progress.html"

    async def get(self, launch_id: str) -> None:
        """A launch from request to end."""
        launch = await self.own_launch(launch_id)
        events = await self.app.db.run(lambda s: store.events_after(s, launch_id, 0))
        live = await self.live_launches()
        cards = self.cards(live, await self.app.outlooks.of_all([launch]))
        self.show(self.template, progress=cards.progress(launch, events))


class ProgressPart(ProgressPage):
    """``/parts/launches/{id}``"""

    template = "parts/progress.html"


class StopLaunch(PageHandler):
    """``/launches/{id}/stop``"""

    async def post(self, launch_id: str) -> None:
        """Cancel or stop."""
        launch = await self.own_launch(launch_id)
        if launch.is_live:
            is_own = launch.person_id == self.person.id
            reason = EndReason.STOPPED_BY_USER if is_own else EndReason.STOPPED_BY_OPERATOR
            await self.app.launches.stop(launch, reason=reason, by=self.person.username)
        if self.get_body_argument("next", "") == "form":
            # Its hold was in the way of what the form asks for: show that again when it is given back.
            await self.app.launches.wait_for_end(launch.id, _STOP_WAIT_S)
            request = to_request(state_of(self.request.body_arguments), self.app.library)
            self.to("new", fields=fields_of(request))
            return
        self.to_next(launch)


class ExtendLaunch(PageHandler):
    """``/launches/{id}/extend``"""

    async def post(self, launch_id: str) -> None:
        """Let it run longer."""
        launch = await self.own_launch(launch_id)
        text = self.get_body_argument("seconds", "")
        seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
        step = int(self.app.launches.extend_step.total_seconds())
        await self.app.launches.extend(
            await self.app.owner_of(launch), launch, min(max(seconds or step, 60), 86400), key=None
        )
        self.to_next(launch)


class RelaunchLaunch(PageHandler):
    """``/launches/{id}/relaunch``"""

    async def post(self, launch_id: str) -> None:
        """Start the same again, decided anew."""
        launch = await self.own_launch(launch_id)
        request = LaunchRequest.model_validate(launch.request)
        try:
            fresh, _ = await self.app.launches.register(self.person, request, origin="relaunch")
        except RequestError:
            # The refusal is kept as a launch of its own and shown as a notice.
            self.to()
            return
        self.to("launches", fresh.id)


class DismissLaunch(PageHandler):
    """``/launches/{id}/dismiss``"""

    async def post(self, launch_id: str) -> None:
        """Put a notice away."""
        launch = await self.own_launch(launch_id)
        await self.app.db.run(lambda s: store.dismiss(s, launch.id))
        self.to()
