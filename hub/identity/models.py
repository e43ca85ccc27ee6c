"""A person: someone who can log in, known by (issuer, subject), never by e-mail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StaffRole(StrEnum):
    """Coarse role of facility staff, from the identity provider."""

    OPERATOR = "operator"
    DATA_STEWARD = "data_steward"


@dataclass(frozen=True, slots=True)
class PosixClaim:
    """POSIX account as the identity provider states it; None where it does not say."""

    uid: int | None = None
    gid: int | None = None
    home: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """One person as our database knows them; written at login.

    ``username`` is the hub user and POSIX name. ``user_id`` is the facility's id, by which the
    catalogue knows them; None for a person whom no facility account was bound to yet.
    ``groups`` are normalised (``panhub:users``, ``instrument:id11``, ``staff:computing``).
    ``posix`` is what the provider last said of the account; `hub.identity.accounts` judges it.
    """

    id: int
    issuer: str
    subject: str
    username: str
    display_name: str
    email: str | None = None
    user_id: str | None = None
    groups: frozenset[str] = frozenset()
    roles: frozenset[StaffRole] = frozenset()
    is_blocked: bool = False
    posix: PosixClaim = PosixClaim()

    @property
    def is_operator(self) -> bool:
        """Whether the person may see and change what concerns all."""
        return StaffRole.OPERATOR in self.roles
