"""From a request to a plan: the one place where it is decided what a launch is.

`Planner.prepare` asks each room its question (access: which data; profiles: what is offered;
identity: as whom; templates: what it analyses) and puts the answers together. It changes nothing
and fails closed: whatever cannot be answered is a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from hub.access.service import AccessResult, AccessService
from hub.catalogue.base import Catalogue
from hub.database import Database
from hub.identity.accounts import AccountError, AccountResolver
from hub.identity.models import Person
from hub.launch import choices
from hub.launch.ledgering import Books, hold_lines
from hub.launch.models import LaunchRequest
from hub.launch.news import utcnow
from hub.launch.notebooks import Notebooks, PlannedTemplate
from hub.launch.summary import DataSummary, HoldSummary, MountSummary, Named, Summary
from hub.problems import Problem, RequestError
from profiles.choose import Choice, Subject
from profiles.loader import Profiles
from quota.models import AccountKind, AccountRef, Enforcement, HoldLine
from spawners.backend import Backend
from spawners.plan import Account, Interface, LaunchId, LaunchPlan

_INTERFACES = {Interface.LAB: "JupyterLab"}


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
        choice = choices.choose_or_refuse(self._profiles, await self.subject(person), request)
        backend = self._backends.get(choice.place)
        if backend is None:
            raise choices.place_missing(choice.place_title)
        account = await self._account(person)
        availability = await backend.availability()
        view = backend.view(launch_id, account)
        mounts = granted.mounts
        workdir = _workdir(launch_id, request)
        template = await self._notebooks.plan(
            person,
            request,
            granted,
            mounts=mounts,
            view=view,
            workdir=workdir,
            environment=choice.environment,
            launch_id=launch_id,
        )
        plan = LaunchPlan(
            launch_id=launch_id,
            username=person.username,
            server_name=server_name,
            interface=choice.interface,
            account=account,
            environment=choice.environment,
            size=choice.size,
            place=choice.place,
            walltime=choice.walltime,
            mounts=mounts,
            workdir=workdir,
            files=template.files if template else (),
            open_path=workdir / template.notebook if template else workdir,
            data_link=PurePosixPath("data") if mounts else None,
        )
        payer = await self._payer(person, request, granted)
        holds = hold_lines(payer, person.username, choice.size, choice.walltime)
        summary = await self._summary(
            person, request, granted, choice, plan, template, payer, holds, availability.note
        )
        return Prepared(
            plan=plan,
            holds=holds,
            summary=summary,
            proposal=granted.investigations[0].proposal if granted.investigations else None,
            display_name=_display_name(granted, template, choice),
            walltime_max=choice.walltime_max,
        )

    async def _account(self, person: Person) -> Account:
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

    async def _payer(self, person: Person, request: LaunchRequest, granted: AccessResult) -> AccountRef:
        """Whose allocation pays: the first input's proposal if it has one, or the person."""
        own = AccountRef(AccountKind.PERSON, person.username)
        if not granted.investigations or request.payer == "person":
            return own
        # Open data is for everybody: who reads it does not spend the proposal's allocation.
        if granted.decisions[0].is_open:
            return own
        proposal = AccountRef(AccountKind.PROPOSAL, granted.investigations[0].proposal)
        if request.payer == "proposal":
            return proposal
        has_one = await self._db.run(lambda s: self._books.has_allocation(s, proposal, utcnow()))
        return proposal if has_one else own

    async def _summary(
        self,
        person: Person,
        request: LaunchRequest,
        granted: AccessResult,
        choice: Choice,
        plan: LaunchPlan,
        template: PlannedTemplate | None,
        payer: AccountRef,
        holds: tuple[HoldLine, ...],
        place_note: str,
    ) -> Summary:
        now = utcnow()
        previews = await self._db.run(lambda s: self._books.preview(s, holds, person, now))
        return Summary(
            interface=Named(id=choice.interface.value, title=_INTERFACES[choice.interface]),
            profile=Named(id=choice.profile, title=choice.profile_title),
            environment=Named(id=plan.environment.id, title=plan.environment.title),
            place=Named(id=choice.place, title=choice.place_title),
            place_note=place_note,
            size=Named(id=choice.size.id, title=choice.size.title),
            cpus=choice.size.cpus,
            memory_mib=choice.size.memory_mib,
            gpus=choice.size.gpus,
            walltime_s=int(choice.walltime.total_seconds()),
            max_walltime_s=int(choice.walltime_max.total_seconds()),
            template=template.summary if template else None,
            data=_data(request, granted),
            mounts=tuple(
                MountSummary(path=str(m.target), mode=m.mode.value, reason=m.reason) for m in plan.mounts
            ),
            holds=tuple(
                HoldSummary(
                    account_kind=preview.meter.account.kind.value,
                    account=preview.meter.account.key,
                    resource=preview.meter.resource.value,
                    amount=preview.asked,
                    limit=preview.meter.limit,
                    used=preview.meter.used,
                    held=preview.meter.held,
                    left=preview.meter.left,
                    resets_at=preview.meter.resets_at,
                    is_enforced=preview.meter.enforcement is Enforcement.ENFORCED,
                )
                for preview in previews
            ),
            payer=Named(id=payer.kind.value, title=payer.key),
            workdir=str(plan.workdir),
        )


def _workdir(launch_id: str, request: LaunchRequest) -> PurePosixPath:
    name = request.template.partition("@")[0] if request.template else "session"
    return PurePosixPath("sessions") / f"{utcnow():%Y-%m-%d}-{name}-{launch_id[:6]}"


def _data(request: LaunchRequest, granted: AccessResult) -> tuple[DataSummary, ...]:
    named = tuple(
        DataSummary(
            ref=one.dataset.pid,
            title=one.dataset.name,
            proposal=one.investigation.proposal,
            investigation=one.investigation.id,
            instrument=one.investigation.instrument,
            path=str(one.target),
            reason=one.decision.reasons_text,
            is_open=one.decision.is_open,
        )
        for one in granted.datasets
    )
    with_sets = {one.investigation.id for one in granted.datasets}
    whole = tuple(
        DataSummary(
            ref=investigation.id,
            title=investigation.title,
            proposal=investigation.proposal,
            investigation=investigation.id,
            instrument=investigation.instrument,
            path=str(investigation.root),
            reason=decision.reasons_text,
            is_open=decision.is_open,
        )
        for investigation, decision in zip(granted.investigations, granted.decisions, strict=True)
        if investigation.id not in with_sets
    )
    return named + whole


def _display_name(granted: AccessResult, template: PlannedTemplate | None, choice: Choice) -> str:
    what = template.summary.title if template else choice.profile_title
    if granted.datasets:
        return f"{what}, {granted.datasets[0].dataset.name}"[:100]
    return what[:100]
