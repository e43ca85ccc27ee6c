"""What does the form for a new session say, complete at every moment?

What may be chosen comes from the rooms that decide (profiles, templates, access), and the summary
is the engine's own dry run. Nothing here computes a hold or a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from hub.access.service import AccessResult, AccessService
from hub.identity.models import Person
from hub.launch.models import SOONEST, Input, InputKind, LaunchRequest
from hub.launch.news import utcnow
from hub.launch.notebooks import AUTO, Notebooks
from hub.launch.planner import Planner
from hub.launch.service import LaunchService
from hub.launch.store import Launch
from hub.launch.summary import Summary as LaunchSummary
from hub.pages.formchoices import (
    duration_choices,
    overflow_choice,
    parameters_of,
    payer_choices,
    profile_choice,
    size_choices,
    size_detail,
    template_choices,
)
from hub.pages.formdata import data_choices, dataset_of
from hub.pages.formplaces import NOTHING, Placed, placed, places_of, wanted_size
from hub.pages.formsummary import summary_view
from hub.pages.interfaces import default_offer, fitting, interface_choices, with_interface_first
from hub.pages.placeviews import PlaceCard
from hub.pages.placing import look
from hub.pages.startviews import DataChoices, FormView
from hub.problems import Problem, RequestError
from profiles.choose import Offer, offers
from profiles.loader import Profiles
from spawners.backend import Ask, Backend
from spawners.plan import Scheduling
from templates.matching import Match, Verdict


class Forms:
    """Builds the form and what belongs to it."""

    def __init__(
        self,
        *,
        access: AccessService,
        profiles: Profiles,
        planner: Planner,
        launches: LaunchService,
        notebooks: Notebooks,
        backends: Mapping[str, Backend],
    ) -> None:
        self._access = access
        self._profiles = profiles
        self._planner = planner
        self._launches = launches
        self._notebooks = notebooks
        self._backends = backends

    async def form(
        self,
        person: Person,
        request: LaunchRequest,
        query: str,
        live: Sequence[Launch] = (),
        *,
        chosen: str = "",
    ) -> FormView:
        """The form as it stands for a request; ``live`` are the person's sessions.

        ``chosen`` is the field that was changed last: an interface then goes before the profile.
        """
        access, problem = await self._granted(person, request)
        granted = access.datasets[0] if access.datasets else None
        matches = await self._notebooks.ranked(granted)
        if request.template == AUTO:
            request = request.model_copy(update={"template": _best(matches)})
        offered = offers(self._profiles, await self._planner.subject(person))
        if chosen == "interface":
            request = with_interface_first(request, offered)
        request = fitting(request, _chosen_offer(offered, request, None))
        request = _with_place(offered, request)
        said, refused = await self._launches.summarise(person, request)
        offer = _chosen_offer(offered, request, said)
        data = await data_choices(self._access, person, query)
        where = await self._placed(person, offer, request, said, access)
        template = self._notebooks.library.get(request.template) if request.template else None
        return FormView(
            chosen=dataset_of(granted),
            data=replace(data, problem=data.problem or ("" if problem is None else problem.detail)),
            templates=template_choices(matches, request),
            interfaces=interface_choices(offered, request.interface),
            profiles=tuple(profile_choice(one, one is offer) for one in offered),
            sizes=size_choices(offer, request, where.room),
            durations=duration_choices(offer, request, where.max_walltime),
            payers=payer_choices(granted, request, said, offer),
            overflow=overflow_choice(offer, request),
            summary=summary_view(said, problem or refused, offer, request, live),
            parameters=parameters_of(template, request),
            display_name=request.display_name or "",
            max_walltime=where.max_walltime,
            places=where.cards,
            detail=where.detail,
            own_size=size_detail(wanted_size(offer, request)) if request.resources else "",
        )

    async def places(self, person: Person, request: LaunchRequest) -> tuple[PlaceCard, ...]:
        """The cards of the places alone, as they are now."""
        offered = offers(self._profiles, await self._planner.subject(person))
        offer = _chosen_offer(offered, request, None)
        access, _ = await self._granted(person, request)
        return (await self._placed(person, offer, request, None, access)).cards

    async def _placed(
        self,
        person: Person,
        offer: Offer,
        request: LaunchRequest,
        said: LaunchSummary | None,
        access: AccessResult,
    ) -> Placed:
        ask = await self._ask(person, offer, request)
        places = places_of(offer, access, ask.account.home if ask else None, request.payer)
        looked = await look(places, self._backends, ask)
        return placed(offer, request, looked, said, utcnow())

    async def _ask(self, person: Person, offer: Offer, request: LaunchRequest) -> Ask | None:
        """The request as the places have to know it; None where the person has no account there."""
        try:
            account = await self._planner.account(person)
        except RequestError:
            return None
        seconds = request.walltime_s
        return Ask(
            account=account,
            size=wanted_size(offer, request),
            walltime=offer.walltime_default if seconds is None else timedelta(seconds=seconds),
            scheduling=Scheduling(
                account=request.scheduling.account,
                qos=request.scheduling.qos,
                reservation=request.scheduling.reservation,
            ),
        )

    async def _granted(self, person: Person, request: LaunchRequest) -> tuple[AccessResult, Problem | None]:
        try:
            return await self._access.grants_for(person, request.inputs), None
        except RequestError as error:
            return NOTHING, error.problem

    async def default_inputs(self, person: Person, last: LaunchRequest | None) -> tuple[Input, ...]:
        """Data of a complete form: what was used last if it may still be read, else the newest own."""
        if last is not None and last.inputs:
            _, problem = await self._granted(person, last)
            if problem is None:
                return last.inputs
        page = await self._access.visible_investigations(person, limit=3)
        for visible in page.items:
            sets = await self._access.visible_datasets(person, visible.investigation.id, limit=1)
            if sets.items:
                return (Input(kind=InputKind.DATASET, ref=sets.items[0].pid),)
        return ()

    async def data(self, person: Person, query: str) -> DataChoices:
        """What the person may read, by proposal and investigation."""
        return await data_choices(self._access, person, query)


def _best(matches: Sequence[Match]) -> str | None:
    best = matches[0] if matches and matches[0].verdict is not Verdict.NO else None
    return best.template.ref if best else None


def _chosen_offer(offered: Sequence[Offer], request: LaunchRequest, said: LaunchSummary | None) -> Offer:
    wanted = said.profile.id if said else request.profile
    by_id = {offer.profile: offer for offer in offered}
    default = default_offer(offered, request.interface)
    found = by_id.get(wanted or "")
    return found if found is not None and found.is_allowed else default


def _with_place(offered: Sequence[Offer], request: LaunchRequest) -> LaunchRequest:
    """The form opens with the place that starts first, where the profile has several."""
    offer = _chosen_offer(offered, request, None)
    if request.place is not None or len(offer.places) < 2:
        return request
    return request.model_copy(update={"place": SOONEST})
