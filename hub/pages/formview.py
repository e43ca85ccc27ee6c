"""The form for a new session, complete at every moment.

What may be chosen comes from the rooms that decide (profiles, templates, access), and the summary
is the engine's own dry run. Nothing here computes a hold or a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from hub.access.service import AccessService, GrantedDataset, Visible
from hub.catalogue.models import Dataset
from hub.identity.models import Person
from hub.launch.models import SOONEST, Input, InputKind, LaunchRequest, SchedulingRequest
from hub.launch.news import utcnow
from hub.launch.notebooks import AUTO, Notebooks
from hub.launch.planner import Planner
from hub.launch.service import LaunchService
from hub.launch.store import Launch
from hub.launch.summary import HoldSummary
from hub.launch.summary import Summary as LaunchSummary
from hub.pages import refusing
from hub.pages.format import count, duration, memory
from hub.pages.formplaces import (
    Placed,
    expected_start,
    placed,
    places_of,
    scheduling_words,
    wanted_size,
)
from hub.pages.interfaces import TITLES, default_offer, fitting, interface_choices, with_interface_first
from hub.pages.placeviews import PlaceCard
from hub.pages.placing import gpu_title, look
from hub.pages.sizing import Room, too_large
from hub.pages.startviews import (
    Choice,
    DataChoices,
    DatasetChoice,
    FormView,
    Hold,
    InvestigationGroup,
    Parameter,
    ProposalGroup,
    Summary,
)
from hub.pages.state import NO_TEMPLATE, fields_of
from hub.pages.summaries import grants_of, payer_title, resources_of
from hub.pages.views import Action, Amount, Meter, Refusal, Resources
from hub.problems import Problem, RequestError
from profiles.choose import Offer, offers
from profiles.loader import Profiles
from quota.models import Enforcement, Resource
from spawners.backend import Ask, Backend
from spawners.plan import Scheduling, Size
from templates.matching import Match, Verdict
from templates.techniques import panet

_HOURS = (1, 2, 4, 8, 24)
_SETS_SHOWN = 8
_VISITS_SHOWN = 12


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
        granted, problem = await self._granted(person, request)
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
        data = await self.data(person, query)
        where = await self._placed(person, offer, request, said)
        return FormView(
            chosen=_chosen(granted),
            data=replace(data, problem=data.problem or ("" if problem is None else problem.detail)),
            templates=_templates(matches, request),
            interfaces=interface_choices(offered, request.interface),
            profiles=tuple(_profile(one, one is offer) for one in offered),
            sizes=_sizes(offer, request, where.room),
            durations=_durations(offer, request, where.max_walltime),
            payers=_payers(granted, request, said),
            summary=self.summary(said, problem or refused, offer, request, live),
            parameters=self._parameters(request, granted),
            display_name=request.display_name or "",
            max_walltime=where.max_walltime,
            places=where.cards,
            detail=where.detail,
            own_size=_size_detail(wanted_size(offer, request)) if request.resources else "",
        )

    async def places(self, person: Person, request: LaunchRequest) -> tuple[PlaceCard, ...]:
        """The cards of the places alone, as they are now."""
        offered = offers(self._profiles, await self._planner.subject(person))
        offer = _chosen_offer(offered, request, None)
        return (await self._placed(person, offer, request, None)).cards

    async def _placed(
        self, person: Person, offer: Offer, request: LaunchRequest, said: LaunchSummary | None
    ) -> Placed:
        looked = await look(places_of(offer), self._backends, await self._ask(person, offer, request))
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

    async def _granted(
        self, person: Person, request: LaunchRequest
    ) -> tuple[GrantedDataset | None, Problem | None]:
        try:
            result = await self._access.grants_for(person, request.inputs)
        except RequestError as error:
            return None, error.problem
        return (result.datasets[0] if result.datasets else None), None

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
        try:
            visible, more = await self._visible(person, query)
            groups = await self._groups(person, visible, query)
        except RequestError as error:
            return DataChoices((), query=query, problem=error.problem.detail)
        return DataChoices(groups, query=query, more=more)

    async def _visible(self, person: Person, query: str) -> tuple[Sequence[Visible], int]:
        if query:
            return await self._access.find(person, query, limit=_VISITS_SHOWN), 0
        page = await self._access.visible_investigations(person, limit=_VISITS_SHOWN)
        return page.items, max(0, page.total - len(page.items))

    async def _groups(
        self, person: Person, visible: Sequence[Visible], query: str
    ) -> tuple[ProposalGroup, ...]:
        visits: dict[str, list[InvestigationGroup]] = {}
        whys: dict[str, Visible] = {}
        for one in _by_investigation(visible):
            investigation = one[0].investigation
            named = [hit.dataset for hit in one if hit.dataset is not None]
            if named:
                sets, total = named, len(named)
            else:
                page = await self._access.visible_datasets(person, investigation.id, limit=_SETS_SHOWN)
                sets, total = list(page.items), page.total
            if not sets:
                continue
            group = InvestigationGroup(
                id=investigation.id,
                title=investigation.title,
                instrument=investigation.instrument.upper(),
                start=investigation.start,
                datasets=tuple(_dataset_choice(found, one[0]) for found in sets),
                total=total,
                released=investigation.release_date if one[0].is_open else None,
            )
            visits.setdefault(investigation.proposal, []).append(group)
            whys.setdefault(investigation.proposal, one[0])
        return tuple(
            ProposalGroup(name, whys[name].decision.reasons_text, tuple(groups), whys[name].is_open)
            for name, groups in visits.items()
        )

    def summary(
        self,
        said: LaunchSummary | None,
        problem: Problem | None,
        offer: Offer | None,
        request: LaunchRequest,
        live: Sequence[Launch] = (),
    ) -> Summary:
        """The engine's dry run as the page shows it, its refusal with ways out."""
        refusal = None
        if problem is not None:
            refusal = refusing.with_actions(problem, _ways_out(problem, offer, request), live)
        if said is None:
            return _undecided(request, refusal)
        return Summary(
            interface=said.interface.title,
            environment=said.environment.title,
            place=said.place.title,
            resources=resources_of(said),
            walltime=timedelta(seconds=said.walltime_s),
            payer=payer_title(said),
            template=said.template.title if said.template else "",
            grants=grants_of(said),
            holds=tuple(_hold(line) for line in said.holds),
            start=expected_start(said, utcnow()),
            is_soonest=said.is_soonest,
            scheduling=scheduling_words(said),
            refusal=refusal,
        )

    def _parameters(self, request: LaunchRequest, granted: GrantedDataset | None) -> tuple[Parameter, ...]:
        template = self._notebooks.library.get(request.template) if request.template else None
        if template is None:
            return ()
        return tuple(
            Parameter(
                name=name,
                title=rule.title or name.replace("_", " ").capitalize(),
                kind="choice" if rule.enum else _KINDS[rule.type.value],
                value=_text(request.parameters.get(name)),
                default=_text(rule.default),
                help=rule.description,
                unit=rule.unit or "",
                choices=tuple(str(value) for value in rule.enum or ()),
                minimum=rule.minimum,
                maximum=rule.maximum,
                filled_from="from the data set" if rule.read_only else "",
            )
            for name, rule in template.spec.parameters.items()
            if not rule.read_only
        )


_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _best(matches: Sequence[Match]) -> str | None:
    best = matches[0] if matches and matches[0].verdict is not Verdict.NO else None
    return best.template.ref if best else None


def _by_investigation(visible: Iterable[Visible]) -> Iterable[list[Visible]]:
    groups: dict[str, list[Visible]] = {}
    for one in visible:
        groups.setdefault(one.investigation.id, []).append(one)
    return groups.values()


def _technique(dataset: Dataset) -> str:
    return panet().label(dataset.techniques[0]) if dataset.techniques else ""


def _dataset_choice(dataset: Dataset, visible: Visible) -> DatasetChoice:
    return DatasetChoice(
        value=f"dataset:{dataset.pid}",
        name=dataset.name,
        why=visible.decision.reasons_text,
        technique=_technique(dataset),
        frames=dataset.frames,
        size_bytes=dataset.size_bytes,
        created=dataset.created,
        is_open=visible.is_open,
        proposal=visible.investigation.proposal,
        description=dataset.description,
        doi=dataset.doi or "",
    )


def _chosen(granted: GrantedDataset | None) -> DatasetChoice | None:
    if granted is None:
        return None
    return _dataset_choice(granted.dataset, Visible(granted.investigation, granted.decision))


def _templates(matches: Sequence[Match], request: LaunchRequest) -> tuple[Choice, ...]:
    fitting = [_template(one, request) for one in matches if one.verdict is not Verdict.NO]
    others = [_template(one, request) for one in matches if one.verdict is Verdict.NO]
    none = Choice(NO_TEMPLATE, "No template", "Start in an empty folder", is_chosen=request.template is None)
    return (*fitting, none, *others)


def _template(found: Match, request: LaunchRequest) -> Choice:
    verdict = "Fits: " if found.verdict is Verdict.RECOMMENDED else ""
    wanted = request.template or ""
    return Choice(
        value=found.template.ref,
        title=found.template.spec.title,
        why=verdict + "; ".join(found.why[:3]),
        is_chosen=wanted == found.template.ref or wanted.partition("@")[0] == found.template.id,
        is_allowed=found.verdict is not Verdict.NO,
    )


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


def _profile(offer: Offer, is_chosen: bool) -> Choice:
    return Choice(
        value=offer.profile,
        title=offer.title,
        why=offer.why_not or offer.description,
        is_chosen=is_chosen,
        is_allowed=offer.is_allowed,
        facts=_environment_facts(offer) if offer.is_allowed else "",
    )


def _environment_facts(offer: Offer) -> str:
    """The software, and for which machines it is built where that matters: on other machines' nodes."""
    environment = offer.environment
    facts = [environment.title]
    if environment.modules:
        facts.append(f"modules {', '.join(environment.modules)}")
    if any(place.architecture for place in offer.places):
        facts.append(f"for {', '.join(environment.architectures)}")
    return " · ".join(facts)


def _sizes(offer: Offer, request: LaunchRequest, room: Room) -> tuple[Choice, ...]:
    chosen = wanted_size(offer, request)
    return tuple(_size_choice(size, room, is_chosen=size is chosen) for size in offer.sizes)


def _size_choice(size: Size, room: Room, *, is_chosen: bool) -> Choice:
    why = too_large(size, room)
    return Choice(
        size.id,
        size.title,
        why=why,
        # One that is chosen stays so: the summary says why it does not go.
        is_allowed=not why or is_chosen,
        detail=_size_detail(size),
        is_chosen=is_chosen,
        resources=Resources(size.title, size.cpus, size.memory_mib, size.gpus, size.gpu_type),
    )


def _size_detail(size: Size) -> str:
    parts = [f"{size.cpus} CPU", memory(size.memory_mib)]
    if size.gpus:
        kind = f"{gpu_title(size.gpu_type)} GPU" if size.gpu_type else "GPU"
        parts.append(count(size.gpus, kind))
    return " · ".join(parts)


def _durations(offer: Offer, request: LaunchRequest, longest: timedelta) -> tuple[Choice, ...]:
    most = int(longest.total_seconds())
    default = int(offer.walltime_default.total_seconds())
    chosen = request.walltime_s or default
    values = {h * 3600 for h in _HOURS if h * 3600 <= most} | {min(default, most), min(chosen, most)}
    return tuple(
        Choice(str(seconds), duration(timedelta(seconds=seconds)), is_chosen=seconds == chosen)
        for seconds in sorted(values)
    )


def _payers(
    granted: GrantedDataset | None, request: LaunchRequest, said: LaunchSummary | None
) -> tuple[Choice, ...]:
    auto = payer_title(said) if said else ""
    choices = [Choice("auto", "Automatic", detail=auto, is_chosen=request.payer == "auto")]
    if granted is not None and not granted.decision.is_open:
        name = f"Proposal {granted.investigation.proposal}"
        choices.append(Choice("proposal", name, is_chosen=request.payer == "proposal"))
    choices.append(Choice("person", "Yours", is_chosen=request.payer == "person"))
    return tuple(choices)


def _hold(line: HoldSummary) -> Hold:
    resource = Resource(line.resource)
    meter = Meter(
        title=refusing.account_title(line.account_kind, line.account),
        resource=resource,
        limit=line.limit,
        used=line.used,
        held=line.held,
        enforcement=Enforcement.ENFORCED if line.is_enforced else Enforcement.OBSERVED,
        resets_at=line.resets_at,
    )
    return Hold(Amount(resource, line.amount), meter)


def _undecided(request: LaunchRequest, refusal: Refusal | None) -> Summary:
    """What is left to say where the engine refused before it came to a plan."""
    return Summary(
        interface=TITLES[request.interface],
        environment="",
        place="",
        resources=Resources("", 0, 0),
        walltime=timedelta(0),
        payer="",
        refusal=refusal,
        is_decided=False,
    )


def _ways_out(problem: Problem, offer: Offer | None, request: LaunchRequest) -> tuple[Action, ...]:
    """Buttons made from the cause: a smaller size, a shorter time, no data."""
    if problem.code == "quota_exceeded" and offer is not None:
        smallest = min(offer.sizes, key=lambda size: (size.cpus, size.memory_mib))
        smaller = request.model_copy(update={"size": smallest.id, "walltime_s": 3600})
        return (Action(f"Take {smallest.title} for 1 h", ("new",), fields_of(smaller), icon="sliders"),)
    if problem.code in {"not_found_or_not_entitled", "embargoed_until", "offline_staging"}:
        without = request.model_copy(update={"inputs": (), "template": None})
        return (Action("Choose other data", ("new",), fields_of(without), icon="database"),)
    if problem.code in {"account_unknown", "qos_unknown", "reservation_unknown"}:
        untold = request.model_copy(update={"scheduling": SchedulingRequest()})
        return (Action("Leave it to the scheduler", ("new",), fields_of(untold), icon="list-check"),)
    if offer is None:
        return ()
    actions = []
    if problem.code in {"place_limit", "place_not_allowed", "backend_unavailable"} and len(offer.places) > 1:
        elsewhere = request.model_copy(update={"place": SOONEST})
        if request.place != SOONEST:
            actions.append(Action("Take the soonest place", ("new",), fields_of(elsewhere), icon="cpu"))
    if problem.code in {"place_limit", "invalid_option"}:
        size = {x.id: x for x in offer.sizes}[offer.default_size]
        usual = request.model_copy(update={"size": size.id, "resources": None})
        actions.append(Action(f"Take {size.title}", ("new",), fields_of(usual), icon="sliders"))
    return tuple(actions)
