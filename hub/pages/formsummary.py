"""What does the engine's dry run say of the form: what will start, or why not, and what then?

Nothing here computes a hold or a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from hub.launch.models import SOONEST, LaunchRequest, SchedulingRequest
from hub.launch.news import utcnow
from hub.launch.storage import DATA_NOT_HERE
from hub.launch.store import Launch
from hub.launch.summary import HoldSummary, PlaceForecast
from hub.launch.summary import Summary as LaunchSummary
from hub.pages import refusing
from hub.pages.again import where_the_data_is
from hub.pages.formplaces import expected_start, scheduling_words
from hub.pages.interfaces import TITLES
from hub.pages.refusing import account_title
from hub.pages.startviews import Hold, OtherPlace, Summary
from hub.pages.state import fields_of
from hub.pages.summaries import grants_of, payer_title, resources_of
from hub.pages.views import Action, Amount, Meter, Refusal, Resources
from hub.problems import Problem
from profiles.choose import Offer
from quota.models import Enforcement, Resource


def summary_view(
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
    now = utcnow()
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
        start=expected_start(said, now),
        is_soonest=said.is_soonest,
        instead_of=said.instead_of.title if said.instead_of else "",
        others=tuple(_other(one, now) for one in said.alternatives),
        scheduling=scheduling_words(said),
        refusal=refusal,
    )


def _other(one: PlaceForecast, now: datetime) -> OtherPlace:
    payer = account_title(one.payer.id, one.payer.title) if one.payer else ""
    return OtherPlace(one.place.title, expected_start(one, now), payer, one.why_not)


def _hold(line: HoldSummary) -> Hold:
    resource = Resource(line.resource)
    meter = Meter(
        title=account_title(line.account_kind, line.account),
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
    if problem.code == DATA_NOT_HERE:
        return where_the_data_is(request, problem)
    if problem.code == "payer_not_here" and request.payer != "auto":
        unsaid = request.model_copy(update={"payer": "auto"})
        return (Action("Leave the payer to the site", ("new",), fields_of(unsaid), icon="sliders"),)
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
