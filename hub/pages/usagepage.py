"""Pages of use: one's own, and the operators' over all."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy.orm import Session

from hub.identity import persons
from hub.identity.models import Person
from hub.launch import store
from hub.launch.ledgering import holder_of
from hub.launch.news import utcnow
from hub.launch.states import LIVE
from hub.launch.store import Launch
from hub.pages.allocations import AllocationHandler, allocation_rows, audit_rows
from hub.pages.base import PageHandler
from hub.pages.home import sessions_csv
from hub.pages.places import place_words
from hub.pages.refusing import meter_view, title_of
from hub.pages.summaries import paying_accounts, resources_of, summary_of
from hub.pages.usageviews import DayUse, OperateView, ProposalUse, RefusalCount, RunningRow, UsageView
from hub.pages.views import Amount, Meter
from quota import reports
from quota.models import AccountKind, AccountRef, Resource
from spawners.backend import State

_RANGES = (7, 30, 90)
_PLOTTED = (Resource.CPU_SECONDS, Resource.GPU_SECONDS, Resource.MIB_SECONDS)
_REFUSAL_TITLES = {
    "quota_exceeded": "Not enough quota left",
    "not_found_or_not_entitled": "Data not found, or not open to the person",
    "embargoed_until": "Data under embargo",
    "walltime_exceeded": "Longer than the profile allows",
    "profile_unknown": "Profile unknown or not open to the person",
    "invalid_request": "Request not valid",
    "hub_unavailable": "The hub did not answer",
}


class UsagePage(PageHandler):
    """``/usage``"""

    async def get(self) -> None:
        """One's own use."""
        view = await self.usage()
        self.show("usage.html", usage=view)

    async def usage(self) -> UsageView:
        """One's own use in the range of days asked for."""
        days = self.days()
        today = utcnow().date()
        period = reports.Period(today - timedelta(days=days - 1), today)
        over = await self.recent_launches(200)
        in_range = [launch for launch in over if launch.created_at.date() >= period.first]
        payers = paying_accounts(over)
        meters = await self.app.db.run(lambda s: self._meters(s, payers, period))
        used = await self.app.db.run(lambda s: reports.use_by_day(s, period, username=self.person.username))
        cards = self.cards()
        resource = self._resource()
        return UsageView(
            meters=meters,
            days=tuple(
                DayUse(one.day, _proposal_title(one.proposal), Amount(one.resource, one.amount))
                for one in used
                if one.resource is resource
            ),
            resource=resource,
            resources=tuple(x for x in _PLOTTED if x is resource or x in {one.resource for one in used}),
            sessions=tuple(cards.recent(launch) for launch in in_range),
            since=period.first,
            until=period.last,
            ranges=_RANGES,
            chosen_range=days,
        )

    def _resource(self) -> Resource:
        """What is plotted."""
        asked = self.get_query_argument("resource", "")
        return next((one for one in _PLOTTED if one.value == asked), Resource.CPU_SECONDS)

    def _meters(
        self, session: Session, payers: Sequence[AccountRef], period: reports.Period
    ) -> tuple[Meter, ...]:
        accounts = [AccountRef(AccountKind.PERSON, self.person.username), *payers]
        now = utcnow()
        since = now - timedelta(days=(period.last - period.first).days + 1)
        found = self.app.books.ledger.meters(session, accounts, now=now, holder=holder_of(self.person))
        return tuple(
            meter_view(
                meter,
                own=self.person.username,
                # Sessions come back by themselves: there is nothing to run out of.
                forecast=None
                if meter.resource is Resource.SESSIONS
                else reports.forecast(meter, since, now).runs_out_at,
            )
            for meter in found
        )


class UsageCsv(UsagePage):
    """``/usage.csv``"""

    async def get(self) -> None:
        """The same sessions as a table."""
        view = await self.usage()
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="usage.csv"')
        self.finish(sessions_csv(view.sessions))


class OperatePage(AllocationHandler):
    """``/operate``"""

    async def get(self) -> None:
        """All running sessions, use by proposal, refusals, allocations."""
        self.require_operator()
        days = self.days()
        today = utcnow().date()
        period = reports.Period(today - timedelta(days=days - 1), today)
        running = await self.app.db.run(lambda s: store.in_states(s, LIVE))
        names = await self.app.db.run(
            lambda s: persons.by_usernames(s, {launch.username for launch in running})
        )
        view = OperateView(
            running=tuple(self._running(launch, names) for launch in running),
            use=await self.app.db.run(lambda s: _use(s, period)),
            refusals=await self.app.db.run(lambda s: _refusals(s, period.first)),
            allocations=await self.app.db.run(lambda s: allocation_rows(s, self.app.books.ledger, utcnow())),
            audit=await self.app.db.run(audit_rows),
            places=await self._places(),
            days=days,
            edit=await self.form(key) if (key := self.get_query_argument("edit", "")) else None,
        )
        self.show("operate.html", operate=view)

    def _running(self, launch: Launch, names: dict[str, Person]) -> RunningRow:
        status = self.app.watcher.last.get(launch.id)
        person = names.get(launch.username)
        said = summary_of(launch)
        return RunningRow(
            launch_id=launch.id,
            person=person.display_name if person else launch.username,
            username=launch.username,
            title=title_of(launch),
            state=launch.state,
            proposal=launch.proposal or "",
            place=said.place.title if said else "",
            resources=resources_of(said),
            requested_at=launch.created_at,
            ends_at=launch.deadline,
            is_unknown=status is not None and status.state is State.UNKNOWN,
        )

    async def _places(self) -> tuple[tuple[str, str], ...]:
        found = []
        for place, backend in self.app.backends.items():
            free = await backend.availability()
            said = ". ".join(text for text in (place_words(free), free.note) if text)
            found.append((self.app.profiles.places[place].title, said or "Answers"))
        return tuple(found)


class OperateCsv(PageHandler):
    """``/operate.csv``"""

    async def get(self) -> None:
        """Use by payer as a table."""
        self.require_operator()
        today = utcnow().date()
        period = reports.Period(today - timedelta(days=self.days() - 1), today)
        rows = await self.app.db.run(lambda s: reports.use_by_payer(s, period))
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["kind", "account", "resource", "amount", "sessions", "people"])
        for row in rows:
            writer.writerow(
                [
                    row.payer.kind.value,
                    row.payer.key,
                    row.resource.value,
                    row.amount,
                    row.launches,
                    row.persons,
                ]
            )
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="use.csv"')
        self.finish(out.getvalue())


def _proposal_title(proposal: str | None) -> str:
    return f"Proposal {proposal}" if proposal else "No proposal"


def _use(session: Session, period: reports.Period) -> tuple[ProposalUse, ...]:
    found = reports.use_by_proposal(session, period, resource=Resource.CPU_SECONDS, limit=50)
    return tuple(
        ProposalUse(
            _proposal_title(one.proposal), Amount(one.resource, one.amount), one.launches, one.persons
        )
        for one in found
    )


def _refusals(session: Session, since: date) -> tuple[RefusalCount, ...]:
    counted: Sequence[store.Refusals] = store.refusals_by_code(session, since)
    return tuple(
        RefusalCount(one.code, _REFUSAL_TITLES.get(one.code, one.code), one.count, one.people, one.last)
        for one in counted
    )
