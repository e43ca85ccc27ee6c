"""At which place does a launch run? Asked of the backends, before anything is held.

Every candidate is asked whether it admits the plan. For ``soonest`` all candidates are also asked
when it would start there, at once and for no longer than `FORECAST_S`: the hub waits for a plan no
longer than 0.8 s. Nothing here queries a scheduler; backends answer from what they know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hub.launch import refusals
from hub.launch.summary import Named, PlaceForecast
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
    """

    place: OfferedPlace
    backend: Backend
    forecast: Forecast | None
    note: str
    alternatives: tuple[PlaceForecast, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A place and its answer. ``refusal`` None: it takes the plan."""

    place: OfferedPlace
    backend: Backend | None
    refusal: RequestError | None


async def find_place(backends: Mapping[str, Backend], choice: Choice, plan: LaunchPlan) -> Placement:
    """Choose among a choice's places. ``plan`` is complete but for its place and files.

    Raises
    ------
    RequestError
        What the place refuses the plan for; where all do, what the first of them does.
    """
    asked = [_ask(backends.get(place.id), place, plan) for place in choice.places]
    candidates = await asyncio.gather(*asked)
    taking = [(one.place, one.backend) for one in candidates if one.backend and not one.refusal]
    if not taking:
        refusal = candidates[0].refusal
        assert refusal is not None, "one that has a backend and no refusal takes it"
        raise refusal
    if len(candidates) == 1:
        [(place, backend)] = taking
        return Placement(place, backend, None, (await backend.availability()).note)
    said = await forecasts([backend for _, backend in taking], _ask_of(plan))
    # The minimum is the first of several: of places that start alike, the profile's first is taken.
    now = datetime.now(UTC)
    best = min(range(len(taking)), key=lambda i: _order(said[i], now))
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
    )


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


async def _ask(backend: Backend | None, place: OfferedPlace, plan: LaunchPlan) -> _Candidate:
    if backend is None:
        return _Candidate(place, None, refusals.backend_unavailable(place.title))
    return _Candidate(place, backend, await admission(backend, place.title, replace(plan, place=place.id)))


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
        why_not=one.refusal.problem.detail if one.refusal else "",
    )
