"""From a request to a plan: the one place where it is decided what a launch is.

`Planner.prepare` asks each room its question (access: which data; profiles: what is offered;
identity: as whom; templates: what it analyses) and puts the answers together. It changes nothing
and fails closed: whatever cannot be answered is a refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from hub.access.service import AccessResult, AccessService
from hub.catalogue.base import Catalogue
from hub.database import Database
from hub.identity.accounts import AccountError, AccountResolver
from hub.identity.models import Person
from hub.launch import choices, refusals
from hub.launch.ledgering import Books
from hub.launch.models import LaunchRequest
from hub.launch.news import utcnow
from hub.launch.notebooks import Notebooks, PlannedTemplate
from hub.launch.placement import admission, find_place, with_forecast
from hub.launch.storage import DATA_NOT_HERE, Elsewhere, missing_at, with_places
from hub.launch.store import Launch
from hub.launch.summary import Summary
from hub.launch.summing import summary_of
from hub.launch.terms import Asked, terms_of
from hub.problems import Problem, RequestError
from profiles.choose import Choice, Subject, offers
from profiles.loader import Profiles
from quota.models import HoldLine
from spawners.backend import Backend
from spawners.plan import Account, LaunchId, LaunchPlan


@dataclass(frozen=True, slots=True)
class Prepared:
    """A launch as decided, before anything is held."""

    plan: LaunchPlan
    holds: tuple[HoldLine, ...]
    summary: Summary
    proposal: str | None
    display_name: str
    walltime_max: timedelta

    def holds_json(self) -> list[dict[str, Any]]:
        """Hold lines as stored with the launch."""
        return [
            {
                "kind": line.account.kind.value,
                "key": line.account.key,
                "resource": line.resource.value,
                "amount": line.amount,
            }
            for line in self.holds
        ]


class Planner:
    """Prepares launches."""

    def __init__(
        self,
        *,
        db: Database,
        books: Books,
        access: AccessService,
        catalogue: Catalogue,
        profiles: Profiles,
        accounts: AccountResolver,
        notebooks: Notebooks,
        backends: Mapping[str, Backend],
    ) -> None:
        self._db = db
        self._books = books
        self._access = access
        self._catalogue = catalogue
        self._profiles = profiles
        self._accounts = accounts
        self._notebooks = notebooks
        self._backends = backends

    async def warm_up(self) -> None:
        """Load what the first plan would otherwise wait for."""
        await self._notebooks.warm_up()

    async def subject(self, person: Person) -> Subject:
        """The person as the profiles' rules see them."""
        instruments: frozenset[str] = frozenset()
        if person.user_id is not None:
            found = await self._catalogue.instruments_of(person.user_id)
            instruments = frozenset(instrument.id for instrument in found)
        roles = frozenset(role.value for role in person.roles)
        return Subject(person.username, person.groups, roles, instruments)

    async def prepare(
        self, person: Person, request: LaunchRequest, *, launch_id: LaunchId, server_name: str
    ) -> Prepared:
        """Decide everything about a launch; nothing is kept.

        Raises
        ------
        RequestError
            If any room refuses or cannot answer.
        """
        granted = await self._access.grants_for(person, request.inputs)
        subject = await self.subject(person)
        choice = choices.choose_or_refuse(self._profiles, subject, request)
        account = await self.account(person)
        workdir = _workdir(launch_id, request)
        plan = LaunchPlan(
            launch_id=launch_id,
            username=person.username,
            server_name=server_name,
            interface=choice.interface,
            account=account,
            environment=choice.environment,
            size=choice.size,
            place=choice.places[0].id,
            walltime=choice.walltime,
            mounts=granted.mounts,
            workdir=workdir,
            open_path=workdir,
            data_link=PurePosixPath("data") if granted.mounts else None,
            scheduling=choice.scheduling,
        )
        asked = Asked(person, request, granted, plan)
        terms = await self._db.run(lambda s: terms_of(s, self._books, asked, choice.places, utcnow()))
        try:
            placement = await find_place(self._backends, choice, plan, terms)
        except RequestError as error:
            if error.problem.code != DATA_NOT_HERE:
                raise
            elsewhere = await self._elsewhere(subject, choice, asked)
            raise RequestError(with_places(error.problem, elsewhere)) from error
        template, placement = await asyncio.gather(
            self._notebooks.plan(
                person,
                request,
                granted,
                mounts=plan.mounts,
                view=placement.backend.view(launch_id, account),
                workdir=workdir,
                environment=choice.environment,
                launch_id=launch_id,
            ),
            with_forecast(placement, plan),
        )
        plan = replace(
            plan,
            place=placement.place.id,
            files=template.files if template else (),
            open_path=workdir / template.notebook if template else workdir,
        )
        agreed = terms[placement.place.id]
        assert agreed.payer is not None, "a place that nobody can pay for is refused"
        return Prepared(
            plan=plan,
            holds=agreed.holds,
            summary=summary_of(
                request, granted, choice, plan, placement, template, agreed.payer, agreed.previews
            ),
            proposal=granted.investigations[0].proposal if granted.investigations else None,
            display_name=_display_name(granted, template, choice),
            walltime_max=choice.walltime_max,
        )

    async def check_extension(self, person: Person, launch: Launch, seconds: int) -> timedelta:
        """Decide anew whether a session may run on where it is; returns the profile's limit of time.

        Raises
        ------
        RequestError
            If access was lost, the profile no longer offers it, or the place does not admit it.
        """
        stored = LaunchRequest.model_validate(launch.request)
        request = stored.model_copy(update={"place": launch.place})
        await self._access.grants_for(person, request.inputs)
        choice = choices.choose_or_refuse(self._profiles, await self.subject(person), request)
        await self.account(person)
        place, plan = choice.places[0], launch.launch_plan()
        longer = replace(plan, walltime=plan.walltime + timedelta(seconds=seconds))
        backend = self._backends.get(place.id)
        if backend is None:
            raise refusals.backend_unavailable(place.title)
        if refusal := await admission(backend, place.title, longer):
            raise refusal
        return choice.walltime_max

    async def account(self, person: Person) -> Account:
        """POSIX account that a person's sessions run as.

        Raises
        ------
        RequestError
            ``account_not_usable`` (403).
        """
        try:
            return await self._accounts.resolve(person)
        except AccountError as error:
            raise RequestError(
                Problem(
                    "account_not_usable",
                    403,
                    "Your account cannot run sessions",
                    str(error),
                    "Ask the facility's support.",
                )
            ) from error

    async def _elsewhere(self, subject: Subject, choice: Choice, asked: Asked) -> list[Elsewhere]:
        """Places that have a launch's data: of its profile, then of others that are open to the person."""
        having = [
            one
            for one in offers(self._profiles, subject)
            if one.is_allowed and choice.interface in one.interfaces
        ]
        having.sort(key=lambda one: one.profile != choice.profile)
        found: dict[str, Elsewhere] = {}
        for offer in having:
            is_own = offer.profile == choice.profile
            for place in offer.places:
                if not missing_at(place, asked.granted, asked.plan.account.home):
                    one = Elsewhere(place) if is_own else Elsewhere(place, offer.profile, offer.title)
                    found.setdefault(place.id, one)
        has_it = await asyncio.gather(*(self._has_data(name, asked.plan) for name in found))
        return [one for one, has in zip(found.values(), has_it, strict=True) if has]

    async def _has_data(self, place: str, plan: LaunchPlan) -> bool:
        """What a place's backend knows of its storage; whatever else it refuses does not matter here."""
        if (backend := self._backends.get(place)) is None:
            return False
        refusal = await admission(backend, place, replace(plan, place=place))
        return refusal is None or refusal.problem.code != DATA_NOT_HERE


def _workdir(launch_id: str, request: LaunchRequest) -> PurePosixPath:
    name = request.template.partition("@")[0] if request.template else "session"
    return PurePosixPath("sessions") / f"{utcnow():%Y-%m-%d}-{name}-{launch_id[:6]}"


def _display_name(granted: AccessResult, template: PlannedTemplate | None, choice: Choice) -> str:
    what = template.summary.title if template else choice.profile_title
    if granted.datasets:
        return f"{what}, {granted.datasets[0].dataset.name}"[:100]
    return what[:100]
