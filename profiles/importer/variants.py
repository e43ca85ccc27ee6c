"""Each profile with one choice of each of its options: what KubeSpawner would start, as traits."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from profiles.importer.notes import Notes
from profiles.importer.shapes import TraitsShape, check
from profiles.importer.source import Source, Traits

_MOST = 500
"""Combinations of choices of one profile; more make no form that people can read."""

_NOBODY = "TODO"

_KNOWN = {"display_name", "description", "slug", "default", "kubespawner_override", "profile_options"}
_GROUPS = ("allowed_groups", "allowed_teams")
"""Gates that sites have put on profiles and choices; KubeSpawner itself has none."""

_GATE = re.compile(r"allow|access|group|team|user|role|admin", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing that a person could start.

    ``choices`` are the names of the choices as people read them; ``is_default`` whether all of them are
    those of the form. ``groups`` None: everyone.
    """

    profile: str
    title: str
    description: str
    choices: tuple[str, ...]
    traits: Traits
    where: str
    is_default: bool
    groups: tuple[str, ...] | None = None


def variants(source: Source) -> list[Variant]:
    """All of them, in the order of the file.

    Raises
    ------
    SourceError
        If one has a trait that KubeSpawner would not take.
    """
    found: list[Variant] = []
    for name, profile in source.profiles.items():
        found += _of_profile(name, profile, source)
    return found


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> Traits:
    """Overrides over traits, as KubeSpawner lays them: mappings are merged, and null removes a key."""
    result = dict(base)
    for name, value in more.items():
        result[name] = _laid_over(result.get(name), value)
    return result


def plain(text: Any) -> str:
    """A text without HTML and line ends."""
    return " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", str(text))).split())


def _laid_over(before: Any, value: Any) -> Any:
    if not (isinstance(before, Mapping) and isinstance(value, Mapping)):
        return value
    result = dict(before)
    for key, item in value.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = _laid_over(result.get(key), item)
    return result


def _of_profile(name: str, profile: Mapping[str, Any], source: Source) -> Iterator[Variant]:
    where, notes = f"profile {plain(name)}", source.notes
    groups = _gate(profile, _KNOWN, where, notes)
    base = merged(source.base, _override(profile, where, notes))
    options = [
        list(_choices(option, f"{where}.{key}", notes))
        for key, option in (profile.get("profile_options") or {}).items()
    ]
    options = [choices for choices in options if choices]
    number = math.prod(map(len, options))
    if number > _MOST:
        notes.add(where, f"has {number} combinations of its choices; the first {_MOST} were taken")
    for combination in islice(product(*options), _MOST):
        traits, allowed = base, groups
        for choice in combination:
            traits = merged(traits, choice.override)
            if None not in (allowed, choice.groups) and allowed != choice.groups:
                text = "asks for groups twice; only those that are named both times may take the choice"
                notes.add(where, text)
            allowed = _both(allowed, choice.groups)
        check(TraitsShape, traits, where)
        if allowed == ():
            notes.add(where, "no group may take both the profile and one of its choices; that was left out")
            continue
        yield Variant(
            profile=name,
            title=plain(profile["display_name"]),
            description=plain(profile.get("description") or ""),
            choices=tuple(choice.title for choice in combination),
            traits=traits,
            where=where,
            is_default=all(choice.is_default for choice in combination),
            groups=allowed,
        )


@dataclass(frozen=True, slots=True)
class _Choice:
    title: str
    override: Mapping[str, Any]
    is_default: bool
    groups: tuple[str, ...] | None


def _choices(option: Mapping[str, Any], where: str, notes: Notes) -> Iterator[_Choice]:
    unlisted = option.get("unlisted_choice") or {}
    if unlisted.get("enabled", bool(unlisted)):
        override = ", ".join(unlisted.get("kubespawner_override") or {}) or "nothing"
        text = f"a value of one's own (for {override}) is not offered: an image or a place has to be known"
        notes.add(f"{where}.unlisted_choice", text)
    choices = option.get("choices") or {}
    default = next(
        (key for key, choice in choices.items() if choice.get("default")), next(iter(choices), None)
    )
    of_all = _gate(option, {"display_name", "choices", "unlisted_choice"}, where, notes)
    for key, choice in choices.items():
        at = f"{where}.{key}"
        groups = _gate(choice, {"display_name", "description", "default", "kubespawner_override"}, at, notes)
        title = plain(choice.get("display_name") or key)
        yield _Choice(title, _override(choice, at, notes), key == default, _both(of_all, groups))


def _override(holder: Mapping[str, Any], where: str, notes: Notes) -> Traits:
    given = holder.get("kubespawner_override") or {}
    if not isinstance(given, Mapping):
        notes.add(f"{where}.kubespawner_override", "is no mapping, and was left out")
        return {}
    return dict(given)


def _gate(holder: Mapping[str, Any], known: set[str], where: str, notes: Notes) -> tuple[str, ...] | None:
    """Groups that may take it; a gate that is not understood lets nobody in."""
    groups: tuple[str, ...] | None = None
    for key in holder:
        if key in known:
            continue
        if key in _GROUPS and isinstance(holder[key], list) and holder[key]:
            groups = (*(groups or ()), *map(str, holder[key]))
        elif _GATE.search(str(key)):
            groups = (_NOBODY,)
            notes.add(
                f"{where}.{key}", f"is not understood: only the group {_NOBODY} may take it; write `allow`"
            )
            break
        else:
            notes.add(f"{where}.{key}", "is not known, and was left out")
    return groups


def _both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Groups that pass both gates; a rule of ours is one list of groups."""
    if one is None or other is None:
        return other if one is None else one
    return tuple(group for group in one if group in other)
