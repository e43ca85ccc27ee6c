"""From what the backends say of their places to the cards of the form.

Asked for one person and one size: what is free, what they may use, when it would start. Backends
answer from what they know already (snapshots), so a page never waits for a scheduler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.launch.models import SOONEST
from hub.pages.places import place_warning
from hub.pages.placeviews import ExpectedStart, FreeLine, PlaceCard, PlaceState
from spawners.backend import Ask, Availability, Backend, BackendError, Forecast, PlaceOffer

_SAY_AGE = timedelta(seconds=10)
"""A look younger than this is as good as now, and its age is not worth a word."""

_OLD = timedelta(minutes=2)
"""An older look may no longer hold: the card warns."""


_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """A place that a profile has. ``why_not``: why it does not go with the profile, environment or data."""

    id: str
    title: str
    note: str = ""
    description: str = ""
    why_not: str | None = None
    payer: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a place says for a person and a size. ``offer`` None: it does not answer."""

    place: Place
    free: Availability
    offer: PlaceOffer | None
    forecast: Forecast

    @property
    def state(self) -> PlaceState:
        """Whether it takes the person's sessions now."""
        if not self.free.is_reachable or self.offer is None:
            return PlaceState.DOWN
        if self.offer.why_not:
            return PlaceState.CLOSED
        if self.place.why_not:
            return PlaceState.UNFIT
        return PlaceState.OPEN


async def look(
    places: Iterable[Place], backends: Mapping[str, Backend], ask: Ask | None
) -> tuple[Looked, ...]:
    """Ask every place at once. Without an ``ask`` (the person has no account) nobody can say when."""
    return tuple(await asyncio.gather(*(_look(place, backends.get(place.id), ask) for place in places)))


async def _look(place: Place, backend: Backend | None, ask: Ask | None) -> Looked:
    if backend is None:
        return Looked(place, Availability(is_reachable=False), None, Forecast(None))
    free = await backend.availability()
    if ask is None:
        return Looked(place, free, PlaceOffer(), Forecast(None))
    try:
        offer = await backend.offer(ask.account)
    except BackendError:
        return Looked(place, free, None, Forecast(None))
    return Looked(place, free, offer, await backend.forecast(ask))


def soonest(looked: Sequence[Looked], why_not: Mapping[str, str], now: datetime) -> Looked | None:
    """The open place that starts first, by the rule of `hub.launch.placement`; unknown comes last."""
    open_ones = [one for one in looked if one.state is PlaceState.OPEN and not why_not.get(one.place.id)]
    # `min` takes the first of equals: the profile's own order.
    return min(open_ones, key=lambda one: _order(one.forecast, now), default=None)


def _order(forecast: Forecast, now: datetime) -> datetime:
    if forecast.starts_at is None:
        return _NEVER
    return now if forecast.is_now(now) else forecast.starts_at


def cards(
    looked: Sequence[Looked],
    chosen: str,
    now: datetime,
    *,
    why_not: Mapping[str, str] | None = None,
    takes: Looked | None = None,
) -> tuple[PlaceCard, ...]:
    """Cards of the places, those that can be taken first; before them `soonest` where it is a choice.

    ``why_not`` says for a place why the chosen size does not go there, ``takes`` what `soonest` takes.
    """
    whys = why_not or {}
    made = [_card(one, one.place.id == chosen, now, whys.get(one.place.id, "")) for one in looked]
    made.sort(key=lambda card: card.state is not PlaceState.OPEN)
    if sum(one.place.why_not is None for one in looked) < 2:
        return tuple(made)
    return (_soonest_card(takes, now, is_chosen=chosen == SOONEST), *made)


def _soonest_card(takes: Looked | None, now: datetime, *, is_chosen: bool) -> PlaceCard:
    if takes is None:
        return PlaceCard(
            SOONEST,
            "Soonest",
            state=PlaceState.UNFIT,
            why="No place takes these choices now",
            is_soonest=True,
            is_chosen=is_chosen,
        )
    return PlaceCard(
        SOONEST,
        "Soonest",
        takes=takes.place.title,
        is_soonest=True,
        is_chosen=is_chosen,
        start=expected(takes.forecast, now),
    )


def _card(one: Looked, is_chosen: bool, now: datetime, too_large: str) -> PlaceCard:
    free, state = one.free, one.state
    why = _why(one) or too_large
    if too_large and state is PlaceState.OPEN:
        state = PlaceState.UNFIT
    taken_at = free.taken_at if free.taken_at and now - free.taken_at >= _SAY_AGE else None
    return PlaceCard(
        value=one.place.id,
        title=one.place.title,
        state=state,
        note=one.place.note,
        description=one.place.description,
        why=why,
        warning=place_warning(free) if state is PlaceState.OPEN else "",
        is_chosen=is_chosen,
        start=expected(one.forecast, now) if state is PlaceState.OPEN else None,
        free=free_lines(free),
        nodes_free=free.nodes_free,
        nodes_total=free.nodes_total,
        jobs_pending=free.jobs_pending,
        sessions_pending=free.sessions_pending,
        warm_free=free.warm_free if free.warm_total else None,
        warm_total=free.warm_total or None,
        payer=one.place.payer,
        as_of=taken_at,
        is_old=taken_at is not None and now - taken_at >= _OLD,
    )


def _why(one: Looked) -> str:
    if one.state is PlaceState.DOWN:
        return one.free.note or "It does not answer at the moment"
    return (one.offer.why_not if one.offer else None) or one.place.why_not or ""


def expected(forecast: Forecast, now: datetime) -> ExpectedStart:
    """A forecast as pages show it."""
    return ExpectedStart(
        forecast.starts_at, is_now=forecast.is_now(now), is_estimate=forecast.basis == "estimate"
    )


def free_lines(free: Availability) -> tuple[FreeLine, ...]:
    """What is free, one line a thing; GPUs by type where the place names types."""
    lines = []
    if free.cpus_free is not None and free.cpus_total:
        lines.append(FreeLine("CPU", free.cpus_free, free.cpus_total))
    if free.memory_mib_free is not None and free.memory_mib_total:
        lines.append(FreeLine("Memory", free.memory_mib_free, free.memory_mib_total, is_memory=True))
    if free.gpus:
        lines += [FreeLine(gpu_title(one.type), one.free, one.total) for one in free.gpus]
    elif free.gpus_total:
        lines.append(FreeLine("GPU", free.gpus_free or 0, free.gpus_total))
    return tuple(lines)


def gpu_title(name: str) -> str:
    """A type of GPU as people write it: ``A100``."""
    return name.upper() if name else "GPU"
