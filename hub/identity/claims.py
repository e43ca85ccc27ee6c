"""Who does a token speak of? Claims → `Identity`, without any I/O.

Names are checked as they come and never folded: ``JDOE`` or a Kelvin sign in place of ``k`` is
refused, since folding would make one person into another. Groups arrive as full paths and get a
namespace, so that no two branches of the tree can mean the same:

===================================  =====================
path                                 group
===================================  =====================
``/panhub/users``                    ``panhub:users``
``/staff/scientific-computing``      ``staff:scientific-computing``
``/instruments/id11/scientists``     ``instrument:id11``
``/beamline/p11`` (any other)        ``group:beamline:p11``
===================================  =====================
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.identity.models import PosixClaim, StaffRole
from hub.identity.settings import RESERVED_NAMES, IdentitySettings, RoleSettings

# `\Z`, not `$`: Python's `$` also matches before a final newline.
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,31}\Z", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", re.ASCII)
_USER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z", re.ASCII)
_HOME = re.compile(r"/[^\x00-\x1f\x7f]{0,1023}\Z")
_OWN_BRANCHES = frozenset({"panhub", "staff"})
_MAX_ID = 2**31 - 1
_MAX_TEXT = 100
_MAX_SUBJECT = 255
"""OpenID Connect Core 1.0, section 2: a subject has at most 255 ASCII characters."""


class ClaimError(Exception):
    """The claims do not make a person; the text is fit for them. ``claim`` is the one at fault."""

    def __init__(self, claim: str, message: str) -> None:
        self.claim = claim
        super().__init__(message)


class GroupsAbsentError(ClaimError):
    """The token says nothing of groups, which is not the same as saying none."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified sign-in says of a person.

    ``ignored_groups`` are paths that could not be read and grant nothing; for the log only.
    """

    issuer: str
    subject: str
    username: str
    display_name: str
    email: str | None = None
    user_id: str | None = None
    groups: frozenset[str] = frozenset()
    roles: frozenset[StaffRole] = frozenset()
    posix: PosixClaim = field(default_factory=PosixClaim)
    ignored_groups: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON of the identity, as the hub reports it to the service."""
        return {
            "issuer": self.issuer,
            "subject": self.subject,
            "username": self.username,
            "display_name": self.display_name,
            "email": self.email,
            "user_id": self.user_id,
            "groups": sorted(self.groups),
            "roles": sorted(self.roles),
            "uid": self.posix.uid,
            "gid": self.posix.gid,
            "home": self.posix.home,
        }


def identity_from_claims(claims: Mapping[str, Any], settings: IdentitySettings) -> Identity:
    """Read verified claims.

    Parameters
    ----------
    claims
        Claims of the verified ID token, with those of the userinfo answer over them.
    settings
        Names of the claims, reserved names, roles.

    Raises
    ------
    ClaimError
        If the name, the subject or another claim cannot be used.
    GroupsAbsentError
        If the groups claim is absent and the site does not take that for "none".
    """
    names = settings.claims
    username = check_username(claims.get(names.username), settings.reserved_names)
    groups, ignored = normalise_groups(_group_paths(claims, settings))
    return Identity(
        issuer=settings.issuer,
        subject=_subject(claims.get("sub")),
        username=username,
        display_name=_text(claims.get(names.display_name)) or username,
        email=_text(claims.get(names.email)) or None,
        user_id=_user_id(names.user_id, claims.get(names.user_id)),
        groups=groups,
        roles=staff_roles(claims, groups, client_id=settings.client_id, rules=settings.roles),
        posix=PosixClaim(
            uid=_number(names.uid, claims.get(names.uid)),
            gid=_number(names.gid, claims.get(names.gid)),
            home=_home(names.home, claims.get(names.home)),
        ),
        ignored_groups=ignored,
    )


def check_username(value: object, reserved: Iterable[str] = ()) -> str:
    """Return ``value`` if it is a strict POSIX name that nobody else may claim.

    Raises
    ------
    ClaimError
        If it is anything but ``[a-z][a-z0-9._-]{0,31}``, or is reserved.
    """
    if not isinstance(value, str) or not _NAME.match(value):
        raise ClaimError(
            "username",
            "The name of your account cannot be used here: it must start with a small letter and hold "
            "only small letters a–z, digits, dot, hyphen and underscore, at most 32 in all.",
        )
    if value in RESERVED_NAMES or value in frozenset(reserved):
        raise ClaimError("username", f"The name {value} is reserved and cannot sign in.")
    return value


def normalise_groups(paths: Iterable[object]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Namespaced groups of full paths, and those paths that were left out.

    A segment with a slash (Keycloak writes it ``~/``), a colon or white space is ambiguous: the
    group grants nothing.
    """
    groups: set[str] = set()
    ignored: list[str] = []
    for path in paths:
        group = _group(path)
        if group is None:
            ignored.append(repr(path)[:_MAX_TEXT])
        else:
            groups.add(group)
    return frozenset(groups), tuple(ignored)


def staff_roles(
    claims: Mapping[str, Any], groups: frozenset[str], *, client_id: str, rules: RoleSettings
) -> frozenset[StaffRole]:
    """Staff roles by ``resource_access.<client>.roles`` and by groups."""
    access = claims.get("resource_access")
    client = access.get(client_id) if isinstance(access, Mapping) else None
    given = client.get("roles") if isinstance(client, Mapping) else None
    named = [item for item in given if isinstance(item, str)] if isinstance(given, list) else []
    by_client = {rules.client_roles[name] for name in named if name in rules.client_roles}
    by_group = {role for group, role in rules.groups.items() if group in groups}
    return frozenset(by_client | by_group)


def initials(display_name: str) -> str:
    """At most two letters that stand for a person."""
    words = [word for word in display_name.split() if word[0].isalnum()]
    chosen = words[:1] + words[-1:] if len(words) > 1 else words
    return "".join(word[0].upper() for word in chosen)


def _group_paths(claims: Mapping[str, Any], settings: IdentitySettings) -> list[object]:
    name = settings.claims.groups
    if name not in claims:
        if settings.absent_groups == "empty":
            return []
        raise GroupsAbsentError(
            name, "Your account came without its groups, so it cannot be told what you may do."
        )
    value = claims[name]
    if not isinstance(value, list):
        raise ClaimError(name, "The groups of your account could not be read.")
    return value


def _group(path: object) -> str | None:
    if not isinstance(path, str):
        return None
    segments = path.removeprefix("/").split("/")
    if not all(_SEGMENT.match(segment) for segment in segments):
        return None
    match segments:
        case ["instruments", instrument, "scientists"]:
            return f"instrument:{instrument}"
        case [branch, _, *_] if branch in _OWN_BRANCHES and path.startswith("/"):
            return ":".join(segments)
        case _:
            return ":".join(["group", *segments])


def _subject(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_SUBJECT or not value.isascii():
        raise ClaimError("sub", "The identity provider did not say who you are.")
    return value


def _user_id(name: str, value: object) -> str | None:
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _USER_ID.match(text):
        raise ClaimError(name, "The facility's id of your account could not be read.")
    return text


def _number(name: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_ID:
        raise ClaimError(name, f"The {name} of your account is no account number.")
    return value


def _home(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _HOME.match(value) or ".." in value.split("/"):
        raise ClaimError(name, "The home folder of your account could not be read.")
    return value


def _text(value: object) -> str:
    """Printable text of one line: what people typed about themselves goes onto pages and into logs."""
    if not isinstance(value, str):
        return ""
    kept = "".join(sign if unicodedata.category(sign)[0] not in "CZ" else " " for sign in value)
    return " ".join(kept.split())[:_MAX_TEXT]
