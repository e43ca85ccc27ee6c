"""What can be chosen in the form: templates, profiles, sizes, durations, payers, parameters?

Pure: what may be chosen was decided by the rooms that gave these (profiles, templates, access).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from hub.access.service import GrantedDataset
from hub.launch.models import SOONEST, LaunchRequest
from hub.launch.summary import Summary as LaunchSummary
from hub.pages.format import count, duration, memory
from hub.pages.formplaces import wanted_size
from hub.pages.placing import gpu_title
from hub.pages.sizing import Room, too_large
from hub.pages.startviews import Choice, Overflow, Parameter
from hub.pages.state import NO_TEMPLATE
from hub.pages.summaries import payer_title
from hub.pages.views import Resources
from profiles.choose import Offer
from spawners.plan import Size
from templates.catalogue import Template
from templates.matching import Match, Verdict

_HOURS = (1, 2, 4, 8, 24)
_KINDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}


def template_choices(matches: Sequence[Match], request: LaunchRequest) -> tuple[Choice, ...]:
    """Templates that fit the data first, then none, then those that do not fit."""
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


def profile_choice(offer: Offer, is_chosen: bool) -> Choice:
    """A profile, with its software, or why it may not be taken."""
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


def size_choices(offer: Offer, request: LaunchRequest, room: Room) -> tuple[Choice, ...]:
    """The sizes of a profile, each with why it does not go at a place."""
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
        detail=size_detail(size),
        is_chosen=is_chosen,
        resources=Resources(size.title, size.cpus, size.memory_mib, size.gpus, size.gpu_type),
    )


def size_detail(size: Size) -> str:
    """A size in a few words."""
    parts = [f"{size.cpus} CPU", memory(size.memory_mib)]
    if size.gpus:
        kind = f"{gpu_title(size.gpu_type)} GPU" if size.gpu_type else "GPU"
        parts.append(count(size.gpus, kind))
    return " · ".join(parts)


def duration_choices(offer: Offer, request: LaunchRequest, longest: timedelta) -> tuple[Choice, ...]:
    """How long it may run: usual hours up to ``longest``, the default and what was chosen."""
    most = int(longest.total_seconds())
    default = int(offer.walltime_default.total_seconds())
    chosen = request.walltime_s or default
    values = {h * 3600 for h in _HOURS if h * 3600 <= most} | {min(default, most), min(chosen, most)}
    return tuple(
        Choice(str(seconds), duration(timedelta(seconds=seconds)), is_chosen=seconds == chosen)
        for seconds in sorted(values)
    )


def overflow_choice(offer: Offer, request: LaunchRequest) -> Overflow | None:
    """Whether another place may be taken; None where there is no other, or the soonest is asked for."""
    if len(offer.places) < 2 or request.place == SOONEST:
        return None
    return Overflow(offer.overflow_after, is_chosen=request.overflow)


def payer_choices(
    granted: GrantedDataset | None, request: LaunchRequest, said: LaunchSummary | None, offer: Offer
) -> tuple[Choice, ...]:
    """Who may pay, at the place that is chosen or at some of the profile's."""
    auto = auto_payer(request, said)
    choices = [Choice("auto", "Automatic", detail=auto, is_chosen=request.payer == "auto")]
    if granted is not None and not granted.decision.is_open:
        choices.append(_payer("proposal", f"Proposal {granted.investigation.proposal}", request, offer))
    choices.append(_payer("person", "Yours", request, offer))
    return tuple(choices)


def auto_payer(request: LaunchRequest, said: LaunchSummary | None) -> str:
    """Who pays where it is left to the site; empty where somebody is named, or nothing is decided."""
    return payer_title(said) if said and request.payer == "auto" else ""


def _payer(value: str, title: str, request: LaunchRequest, offer: Offer) -> Choice:
    is_chosen = request.payer == value
    candidates = [place for place in offer.places if place.id == request.place] or offer.places
    is_taken = any(value in place.payers for place in candidates)
    where = candidates[0].title if len(candidates) == 1 else "these places"
    why = "" if is_taken else f"Sessions at {where} are not paid so"
    return Choice(value, title, why=why, is_chosen=is_chosen, is_allowed=is_taken or is_chosen)


def parameters_of(template: Template | None, request: LaunchRequest) -> tuple[Parameter, ...]:
    """What can be set in the chosen template."""
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


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
