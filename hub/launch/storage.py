"""Is what a session needs on the storage that a place sees? Pure.

A place says which folders its sessions see (`profiles.places`); what a launch needs are the sources
of its mounts and its person's home. A backend may know more of its storage and refuse with the same
code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from hub.access.service import AccessResult
from hub.problems import Problem, RequestError
from profiles.choose import OfferedPlace

DATA_NOT_HERE = "data_not_here"
"""Code of the refusal; backends use it too."""

HOME = "Your home folder"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A place that has the data; ``profile`` is empty where it is one of the profile that was asked for."""

    place: OfferedPlace
    profile: str = ""
    profile_title: str = ""


def missing_at(place: OfferedPlace, granted: AccessResult, home: PurePosixPath | None) -> tuple[str, ...]:
    """Names of what a session needs and the place does not see: data sets, visits, the home folder.

    ``home`` None is not asked about.
    """
    if place.storage is None:
        return ()
    unseen = [mount.source for mount in granted.mounts if not _is_in(mount.source, place.storage)]
    sets = [one for one in granted.datasets if _is_in(one.source, unseen)]
    named = {one.investigation.id for one in sets}
    visits = [
        one
        for one in granted.investigations
        if one.id not in named and any(f"/{one.root}/" in f"{source}/" for source in unseen)
    ]
    names = [*(f"“{one.dataset.name}”" for one in sets), *(f"“{one.title}”" for one in visits)]
    if unseen and not names:
        names = ["The data"]
    return (*names, *(() if home is None or _is_in(home, place.storage) else (HOME,)))


def _is_in(path: PurePosixPath, folders: Iterable[PurePosixPath]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def data_not_here(names: Sequence[str], place: str) -> RequestError:
    """What a place does not see."""
    verb = "is" if len(names) == 1 else "are"
    return RequestError(
        Problem(
            DATA_NOT_HERE,
            409,
            "The data is not there",
            f"{listed(names)} {verb} not on the storage of {place}.",
            "Choose another place, or other data.",
        )
    )


def with_places(problem: Problem, elsewhere: Sequence[Elsewhere]) -> Problem:
    """The refusal with the places that have the data."""
    if not elsewhere:
        return replace(
            problem,
            detail=f"{problem.detail} No place that is open to you has it.",
            hint="Choose other data, or ask the operators to bring it to a place.",
        )
    names = [
        f"{one.place.title} (profile “{one.profile_title}”)" if one.profile else one.place.title
        for one in elsewhere
    ]
    places = [
        {
            "id": one.place.id,
            "title": one.place.title,
            "profile": one.profile or None,
            "profile_title": one.profile_title or None,
        }
        for one in elsewhere
    ]
    return replace(
        problem,
        detail=f"{problem.detail} It is there for {listed(names)}.",
        hint="Choose a place that has it, or other data.",
        extra={**problem.extra, "places": places},
    )


def listed(names: Sequence[str]) -> str:
    """Names as a sentence begins with them: ``“LaB6 series” and your home folder``."""
    words = [names[0], *(name.lower() if name == HOME else name for name in names[1:])]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
