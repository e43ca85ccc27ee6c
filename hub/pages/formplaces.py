"""The form's places and its detail: what a profile offers, met with what the places say now.

Pure but for `Looked`, which `hub.pages.placing` asks for. Nothing here decides: the launch path
refuses what a profile or place does not take, and the summary says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from hub.access.service import AccessResult
from hub.launch.models import SOONEST, LaunchRequest
from hub.launch.storage import listed, missing_at
from hub.launch.summary import PlaceForecast
from hub.launch.summary import Summary as LaunchSummary
from hub.launch.terms import payer_words, takes_payer
from hub.pages import placing, sizing
from hub.pages.format import memory
from hub.pages.placeviews import Detail, ExpectedStart, GpuChoice, NumberField, Option, PlaceCard
from hub.pages.placing import Looked, Place
from hub.pages.sizing import Room
from profiles.choose import Offer, OfferedPlace
from profiles.places import EITHER
from spawners.backend import Forecast, PlaceOffer, ReservationOffer
from spawners.plan import Environment, Size

_KINDS = {"slurm": "Slurm", "batchspawner": "Batch", "kubernetes": "Kubernetes"}


NOTHING = AccessResult()
"""No data."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What the form says of places for one request. ``room`` is that of the chosen place."""

    cards: tuple[PlaceCard, ...]
    detail: Detail
    room: Room
    max_walltime: timedelta


def wanted_size(offer: Offer, request: LaunchRequest) -> Size:
    """The size that is asked for, or the profile's default where it has no such size."""
    own = request.resources
    if own is not None:
        return Size("own", "Own", own.cpus, own.memory_mib, own.gpus, own.gpu_type or "")
    by_id = {size.id: size for size in offer.sizes}
    return by_id.get(request.size or "") or by_id[offer.default_size]


def wanted_place(offer: Offer, request: LaunchRequest) -> str:
    """Value of the place that the form has chosen."""
    is_one = request.place == SOONEST or request.place in {place.id for place in offer.places}
    return request.place if is_one and request.place else offer.place


def places_of(
    offer: Offer,
    granted: AccessResult = NOTHING,
    home: PurePosixPath | None = None,
    payer: str = "auto",
) -> tuple[Place, ...]:
    """Places of a profile, to be looked at; those that do not go with environment, data or payer say so.

    ``home`` None: the person has no account, so only the data counts. ``payer`` is who is asked to pay.
    """
    fitting = (
        (place, _not_there(place, granted, home) or _not_paid(place, granted, payer))
        for place in offer.places
    )
    unfit = ((place, _not_built(place, offer.environment)) for place in offer.unfit_places)
    return tuple(
        Place(
            place.id,
            place.title,
            note=_note(place),
            description=place.description,
            why_not=why_not,
            payer="" if place.payers == EITHER else payer_words(place.payers),
        )
        for place, why_not in (*fitting, *unfit)
    )


def _not_there(place: OfferedPlace, granted: AccessResult, home: PurePosixPath | None) -> str | None:
    missing = missing_at(place, granted, home)
    if not missing:
        return None
    return f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not on its storage"


def _not_paid(place: OfferedPlace, granted: AccessResult, payer: str) -> str | None:
    return None if takes_payer(place.payers, payer, granted) else f"Paid by {payer_words(place.payers)} only"


def _not_built(place: OfferedPlace, environment: Environment) -> str:
    if place.architecture and place.architecture not in environment.architectures:
        return f"“{environment.title}” is not built for {place.architecture}"
    return f"“{environment.title}” has no container image"


def _note(place: OfferedPlace) -> str:
    return " · ".join(word for word in (_KINDS.get(place.kind, ""), place.architecture) if word)


def placed(
    offer: Offer,
    request: LaunchRequest,
    looked: Sequence[Looked],
    said: LaunchSummary | None,
    now: datetime,
) -> Placed:
    """Cards and detail of the form."""
    size, chosen = wanted_size(offer, request), wanted_place(offer, request)
    whys = {
        one.place.id: why
        for one in looked
        if one.offer is not None and (why := sizing.too_large(size, sizing.room_of(one.offer)))
    }
    taken = said.place.id if said is not None and said.is_soonest else None
    takes = next((one for one in looked if one.place.id == taken), None) or placing.soonest(looked, whys, now)
    candidates = [
        one
        for one in looked
        if one.offer is not None
        and not (one.offer.why_not or one.place.why_not)
        and chosen in (SOONEST, one.place.id)
    ]
    offered = [one.offer for one in candidates if one.offer is not None]
    room = sizing.widest(sizing.room_of(one) for one in offered)
    own_room = sizing.widest(sizing.room_of(one, offer.custom) for one in offered)
    most = min((x for x in (offer.walltime_max, room.walltime) if x is not None), default=offer.walltime_max)
    return Placed(
        cards=placing.cards(looked, chosen, now, why_not=whys, takes=takes),
        detail=_detail(offer, request, candidates, offered, own_room, now),
        room=room,
        max_walltime=most,
    )


def _detail(
    offer: Offer,
    request: LaunchRequest,
    candidates: Sequence[Looked],
    offered: Sequence[PlaceOffer],
    room: Room,
    now: datetime,
) -> Detail:
    own = request.resources
    shares = sizing.shares(room, own.cpus if own else None)
    is_share = any(share.is_chosen for share in shares)
    counts = sizing.gpu_counts(room)
    chosen_count = own.gpus if own else None
    told = request.scheduling
    has_scheduling = offer.scheduling
    return Detail(
        has_own_size=offer.custom is not None,
        shares=shares,
        cpus=NumberField(
            value=str(own.cpus) if own and not is_share else "",
            most=room.cpus,
            hint=_hint(room.node_cpus, room.cpus, lambda cpus: f"{cpus} CPU", is_one=len(offered) == 1),
        ),
        memory=NumberField(
            value=f"{own.memory_mib / 1024:.4f}".rstrip("0").rstrip(".") if own else "",
            most=room.memory_mib // 1024 if room.memory_mib is not None else None,
            hint=_hint(room.node_memory_mib, room.memory_mib, memory, is_one=len(offered) == 1),
        ),
        gpu_counts=tuple((count, count == chosen_count) for count in counts),
        gpu_types=_gpu_types(offer, request, candidates, room) if counts else (),
        reservations=_reservations(offered, told.reservation, now) if has_scheduling else (),
        accounts=_names(
            (one.accounts for one in offered), (one.default_account for one in offered), told.account
        )
        if has_scheduling
        else (),
        qos=_names((one.qos for one in offered), (one.default_qos for one in offered), told.qos)
        if has_scheduling
        else (),
        is_open=own is not None or any((told.account, told.qos, told.reservation)),
    )


def _hint(node: int | None, most: int | None, words: Callable[[int], str], *, is_one: bool) -> str:
    """What the largest node has, and what of it is for this person."""
    if node is None:
        return f"At most {words(most)}." if most is not None else ""
    text = f"{'A node here' if is_one else 'The largest node'} has {words(node)}"
    return f"{text}; at most {words(most)} for you." if most is not None and most < node else f"{text}."


def _gpu_types(
    offer: Offer, request: LaunchRequest, candidates: Sequence[Looked], room: Room
) -> tuple[GpuChoice, ...]:
    """Types to choose from, with what is free of each; any of them first where there are several."""
    allowed = offer.custom.gpu_types if offer.custom else ()
    names = [name for name in room.gpu_types if name and (not allowed or name in allowed)]
    if not names:
        return ()
    asked = (request.resources.gpu_type or "") if request.resources else ""
    free: dict[str, list[int]] = {}
    for one in candidates:
        for count in one.free.gpus:
            sums = free.setdefault(count.type, [0, 0])
            sums[0] += count.free
            sums[1] += count.total
    limit = room.most_gpus
    choices = [
        GpuChoice(
            value=name,
            title=placing.gpu_title(name),
            most=min(limit, room.gpu_types[name]),
            free=free[name][0] if name in free else None,
            total=free[name][1] if name in free else None,
            is_chosen=asked == name,
        )
        for name in names
    ]
    if len(choices) > 1 or asked not in ("", choices[0].value):
        choices.insert(0, GpuChoice("", "Any", limit, is_chosen=asked == ""))
    return tuple(choices)


def _reservations(offered: Iterable[PlaceOffer], chosen: str | None, now: datetime) -> tuple[Option, ...]:
    """A person's reservations, the next one first; nothing where there are none."""
    found: dict[str, ReservationOffer] = {}
    for one in offered:
        for reservation in one.reservations:
            if reservation.ends_at > now:
                found.setdefault(reservation.name, reservation)
    if not found:
        return ()
    in_order = sorted(found.values(), key=lambda one: (one.starts_at, one.name))
    return (
        Option("", "None", is_chosen=chosen is None),
        *(
            Option(
                one.name,
                one.name,
                is_chosen=one.name == chosen,
                starts_at=one.starts_at,
                ends_at=one.ends_at,
                is_open=one.starts_at <= now,
            )
            for one in in_order
        ),
    )


def _names(
    lists: Iterable[Sequence[str]], defaults: Iterable[str | None], chosen: str | None
) -> tuple[Option, ...]:
    """Accounts or QOS to choose from; nothing where there is no choice."""
    names = list(dict.fromkeys(name for names in lists for name in names))
    if len(names) < 2 and chosen in (None, *names):
        return ()
    known = set(defaults)
    default = known.pop() if len(known) == 1 else None
    title = f"Default ({default})" if default else "Default"
    return (
        Option("", title, is_chosen=chosen is None),
        *(Option(name, name, is_chosen=name == chosen) for name in names),
    )


def expected_start(said: LaunchSummary | PlaceForecast, now: datetime) -> ExpectedStart:
    """What the dry run says of the start, at the place that is taken or at another."""
    return placing.expected(Forecast(said.expected_start, said.expected_start_basis), now)


def scheduling_words(said: LaunchSummary) -> tuple[tuple[str, str], ...]:
    """What the scheduler is told, by name."""
    told = said.scheduling
    named = (("account", told.account), ("QOS", told.qos), ("reservation", told.reservation))
    return tuple((name, value) for name, value in named if value is not None)
