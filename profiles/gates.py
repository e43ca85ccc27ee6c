"""Who may pick what, and the plain text of why not. Pure.

The same answer serves the form (which lists what one may not take, with the reason), the link, the
spawn API and plain hub REST: there is no second filter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from profiles.models import Rule


@dataclass(frozen=True, slots=True)
class Subject:
    """What rules ask of a person. ``instruments`` are those the person is a scientist of."""

    username: str
    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    instruments: frozenset[str] = frozenset()


def is_allowed(allow: Literal["everyone"] | Rule, subject: Subject) -> bool:
    """Whether the rule lets the person in. Names are compared without regard to case."""
    if allow == "everyone":
        return True
    return (
        _meet(allow.groups, subject.groups)
        or _meet(allow.roles, subject.roles)
        or _meet(allow.instruments, subject.instruments)
        or _meet(allow.users, (subject.username,))
    )


def why_not(allow: Literal["everyone"] | Rule, subject: Subject) -> str | None:
    """One sentence that says whom the profile is for; None for those it is open to.

    Persons are never named: a rule by user name reads "people named by the facility".
    """
    if allow == "everyone" or is_allowed(allow, subject):
        return None
    kinds = [
        *_members(allow.groups, "members of the group", "members of the groups"),
        *_members(allow.roles, "staff with the role", "staff with one of the roles"),
        *_members(allow.instruments, "scientists of the instrument", "scientists of the instruments"),
        *(("people named by the facility",) if allow.users else ()),
    ]
    return f"Only for {_either(kinds)}."


def _meet(rule: Iterable[str], has: Iterable[str]) -> bool:
    return not {name.casefold() for name in rule}.isdisjoint(name.casefold() for name in has)


def _members(names: tuple[str, ...], one: str, several: str) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"{one if len(names) == 1 else several} {_either([_plain(name) for name in names])}",)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
