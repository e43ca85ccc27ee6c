"""At which place does a launch run? Asked of the backends, before anything is held.

Every candidate is asked whether it admits the plan. For ``soonest`` and for overflow all candidates
are also asked when it would start there, at once and for no longer than `FORECAST_S`: the hub waits
for a plan no longer than 0.8 s. Nothing here queries a scheduler; backends answer from what they know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from hub.launch import refusals
from hub.launch.storage import DATA_NOT_HERE
from hub.launch.summary import Named, PlaceForecast, payer_named
from hub.launch.terms import Terms
from hub.problems import RequestError
from profiles.choose import Choice, OfferedPlace
from spawners.backend import (
    Ask,
    Backend,
    BackendUnavailableError,
    Forecast,
    NotAdmittedError,
)
from spawners.plan import LaunchPlan

FORECAST_S = 0.5
"""Longest wait for all forecasts together; who has not answered by then is unknown."""

_NOBODY_KNOWS = Forecast(None)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Placement:
    """The place that was taken, what it says of itself, and the other candidates.

    ``forecast`` None: there was no choice to make, so it was not asked (`with_forecast` does).
    ``instead_of`` is the place that was asked for, where overflow took another.
    """

    place: OfferedPlace
    backend: Backend
    forecast: Forecast | None
    note: str
    alternatives: tuple[PlaceForecast, ...] = ()
    instead_of: OfferedPlace | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A place and its answer. ``refusal`` None: it takes the plan."""

    place: OfferedPlace
    backend: Backend | None
    terms: Terms | None
    refusal: RequestError | None

    @property
    def why_not(self) -> str:
        """Why it is not taken while others are; empty if it could be."""
        refusal = self.refusal or (self.terms.shortage if self.terms else None)
        return refusal.problem.detail if refusal else ""


async def find_place(
    backends: Mapping[str, Backend],
    choice: Choice,
    plan: LaunchPlan,
    terms: Mapping[str, Terms] = MappingProxyType({}),
) -> Placement:
    """Choose among a choice's places. ``plan`` is complete but for its place and files.

    ``terms`` are by the place's id: a place that they refuse is left out, one whose payer has not enough
    left too, as long as another has.

    Raises
    ------
    RequestError
        What the place refuses the plan for; where all do, what the first of them does.
    """

    def ask(place: OfferedPlace) -> Awaitable[_Candidate]:
        return _ask(backends.get(place.id), place, plan, terms.get(place.id))

    if choice.is_soonest or choice.overflow_after is not None:
        candidates: Sequence[_Candidate] = await asyncio.gather(*map(ask, choice.places))
    else:
        candidates = [await _first_with_data(choice.places, ask)]
    able = [one for one in candidates if one.backend and not one.refusal]
    if not able:
        refusal = candidates[0].refusal
        assert refusal is not None, "one that has a backend and no refusal takes it"
        raise refusal
    # Where nobody's quota is enough, a place is found all the same: the hold refuses, and says of whom.
    paid = [one for one in able if not one.why_not] or able
    taking = [(one.place, one.backend) for one in paid if one.backend]
    if len(candidates) == 1:
        [(place, backend)] = taking
        return Placement(place, backend, None, (await backend.availability()).note)
    said = await forecasts([backend for _, backend in taking], _ask_of(plan))
    now = datetime.now(UTC)
    preferred, patience = choice.places[0], choice.overflow_after
    in_time = None if patience is None else now + patience

    def order(i: int) -> datetime:
        # Who asked for a place and allows overflow waits there for a while: that counts as now.
        starts = _order(said[i], now)
        is_awaited = in_time is not None and taking[i][0] is preferred and starts <= in_time
        return now if is_awaited else starts

    # The minimum is the first of several: of places that start alike, the preferred one is taken.
    best = min(range(len(taking)), key=order)
    place, backend = taking[best]
    by_id = {taken.id: forecast for (taken, _), forecast in zip(taking, said, strict=True)}
    return Placement(
        place=place,
        backend=backend,
        forecast=said[best],
        note=(await backend.availability()).note,
        alternatives=tuple(
            _alternative(one, by_id.get(one.place.id, _NOBODY_KNOWS))
            for one in candidates
            if one.place.id != place.id
        ),
        instead_of=preferred if patience is not None and place is not preferred else None,
    )


async def _first_with_data(
    places: Sequence[OfferedPlace], ask: Callable[[OfferedPlace], Awaitable[_Candidate]]
) -> _Candidate:
    """Of several, none of which was asked for: the first that has the data, whatever else it says."""
    lacking: list[_Candidate] = []
    for place in places:
        one = await ask(place)
        if one.refusal is None or one.refusal.problem.code != DATA_NOT_HERE:
            return one
        lacking.append(one)
    return lacking[0]


async def with_forecast(placement: Placement, plan: LaunchPlan) -> Placement:
    """A placement with the forecast of its place. Never raises, and is bounded by `FORECAST_S`."""
    if placement.forecast is not None:
        return placement
    return replace(placement, forecast=(await forecasts([placement.backend], _ask_of(plan)))[0])


def _ask_of(plan: LaunchPlan) -> Ask:
    return Ask(plan.account, plan.size, plan.walltime, plan.scheduling)


async def forecasts(backends: Sequence[Backend], ask: Ask) -> list[Forecast]:
    """When it would start at each place: all asked at once, unknown for who takes too long or fails."""
    tasks = [asyncio.ensure_future(backend.forecast(ask)) for backend in backends]
    done, late = await asyncio.wait(tasks, timeout=FORECAST_S)
    for task in late:
        task.cancel()
    return [task.result() if task in done and task.exception() is None else _NOBODY_KNOWS for task in tasks]


async def _ask(
    backend: Backend | None, place: OfferedPlace, plan: LaunchPlan, terms: Terms | None
) -> _Candidate:
    if terms is not None and terms.refusal is not None:
        return _Candidate(place, backend, terms, terms.refusal)
    if backend is None:
        return _Candidate(place, None, terms, refusals.backend_unavailable(place.title))
    refusal = await admission(backend, place.title, replace(plan, place=place.id))
    return _Candidate(place, backend, terms, refusal)


async def admission(backend: Backend, title: str, plan: LaunchPlan) -> RequestError | None:
    """Why a place does not take a plan; None if it does."""
    try:
        await backend.admit(plan)
    except NotAdmittedError as error:
        return refusals.not_admitted(error)
    except BackendUnavailableError:
        return refusals.backend_unavailable(title)
    return None


def _order(forecast: Forecast, now: datetime) -> datetime:
    """By start, to the half minute that `Forecast.is_now` calls now; unknown comes last."""
    if forecast.starts_at is None:
        return _NEVER
    return now if forecast.is_now(now) else forecast.starts_at


def _alternative(one: _Candidate, forecast: Forecast) -> PlaceForecast:
    return PlaceForecast(
        place=Named(id=one.place.id, title=one.place.title),
        expected_start=forecast.starts_at,
        expected_start_basis=forecast.basis,
        payer=payer_named(one.terms.payer) if one.terms and one.terms.payer else None,
        why_not=one.why_not,
    )
