"""What an operator sets about identity: the provider, its claims, who may sign in, which account.

`hub.settings` nests `IdentitySettings` as its section ``identity``. The client secret is never in
it: it names a file.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from hub.identity.models import StaffRole

PosixName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,31}$")]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f\x7f]*$", max_length=1024)]

# fmt: off
RESERVED_NAMES = frozenset({
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy", "backup",
    "list", "irc", "nobody", "nogroup", "www-data", "sshd", "ftp", "operator", "adm", "shutdown", "halt",
    "postgres", "mysql", "slurm", "munge", "docker", "admin", "administrator", "sudo", "wheel", "panhub",
    "jupyterhub", "jupyter", "hub", "service", "services", "user", "users", "guest", "test",
})
# fmt: on
"""Names of system accounts on common distributions, and those that routes and services use."""


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClaimNames(_Closed):
    """Which claim says what. The provider must not let people edit these themselves."""

    username: str = Field(default="preferred_username", description="POSIX name and hub user.")
    user_id: str = Field(default="facility_user_id", description="The facility's id, known to the catalogue.")
    groups: str = Field(default="groups", description="Group membership as full paths.")
    display_name: str = Field(default="name", description="Name shown to people.")
    email: str = Field(default="email", description="Address shown to operators; never an identity.")
    uid: str = Field(default="uidNumber", description="POSIX user id.")
    gid: str = Field(default="gidNumber", description="POSIX group id.")
    home: str = Field(default="homeDirectory", description="Home folder.")


class RoleSettings(_Closed):
    """Who is staff: by client roles of the provider, by groups, or by both."""

    client_roles: dict[str, StaffRole] = Field(
        default={"operator": StaffRole.OPERATOR, "data-steward": StaffRole.DATA_STEWARD},
        description="Role of the client in `resource_access` → staff role.",
    )
    groups: dict[str, StaffRole] = Field(
        default={}, description="Normalised group (`staff:computing`) → staff role."
    )


class StaticAccount(_Closed):
    """One account of the kind `static`."""

    uid: int = Field(ge=0, description="POSIX user id.")
    gid: int = Field(ge=0, description="POSIX group id.")
    home: AbsolutePath = Field(description="Home folder on the storage.")
    groups: tuple[int, ...] = Field(default=(), description="Supplementary group ids.")


class AccountSettings(_Closed):
    """As which POSIX account a person's sessions run."""

    kind: Literal["service", "nss", "claims", "static"] = Field(
        default="nss",
        description="`service`: the service's own account (a demo); `nss`: the system's accounts; "
        "`claims`: what the provider says; `static`: the table below.",
    )
    homes: Path | None = Field(default=None, description="Folder of the homes of kind `service`.")
    uid_floor: int = Field(default=1000, ge=1, description="No session runs below this user id.")
    gid_floor: int = Field(default=100, ge=1, description="No session has a main group below this id.")
    supplementary_gid_floor: int = Field(
        default=1000, ge=1, description="Further groups below this id (disk, docker) are left out."
    )
    denied: frozenset[PosixName] = Field(default=frozenset(), description="Accounts that never run sessions.")
    accounts: dict[PosixName, StaticAccount] = Field(default={}, description="Accounts of kind `static`.")

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        if (self.kind == "service") != (self.homes is not None):
            raise ValueError("`homes` belongs to accounts of kind `service`, and must be set there")
        if (self.kind == "static") != bool(self.accounts):
            raise ValueError("`accounts` belongs to accounts of kind `static`, and must not be empty there")
        return self


class IdentitySettings(_Closed):
    """The identity provider and what its word is worth."""

    issuer: str = Field(
        description="Issuer exactly as the provider states it.",
        examples=["https://sso.facility.example/realms/facility"],
    )
    client_id: str = Field(default="panhub", min_length=1, description="Client registered at the provider.")
    client_secret_file: Path = Field(description="File with the client's secret.")
    scopes: tuple[str, ...] = Field(
        default=("openid", "profile", "email"), description="Scopes to ask for; `openid` is needed."
    )
    login_service: str = Field(default="facility account", description="What the sign-in button names.")
    claims: ClaimNames = ClaimNames()
    absent_groups: Literal["refuse", "empty"] = Field(
        default="refuse",
        description="What a token without the groups claim means. Keycloak omits it for people in no group: "
        "`empty` is right there once the mapper is known to work.",
    )
    allowed_groups: frozenset[str] = Field(
        default=frozenset({"panhub:users"}), min_length=1, description="Members of any of these may sign in."
    )
    roles: RoleSettings = RoleSettings()
    reserved_names: frozenset[PosixName] = Field(
        default=frozenset(), description="Names nobody may have, beside those of system accounts."
    )
    accounts: AccountSettings = AccountSettings()
    refresh_age_s: int = Field(
        default=300, ge=30, le=86400, description="Membership is asked again after this many seconds."
    )
    grace_s: int = Field(
        default=1800,
        ge=0,
        le=86400,
        description="A provider that does not answer leaves people signed in for this many seconds after "
        "their last confirmation; nothing new starts meanwhile.",
    )
    timeout_s: float = Field(default=5, gt=0, le=30, description="Patience with one request to the provider.")
    leeway_s: int = Field(default=10, ge=0, le=120, description="Allowed difference of clocks.")

    @field_validator("issuer")
    @classmethod
    def _is_safe_url(cls, value: str) -> str:
        require_safe_url(value)
        return value

    @field_validator("scopes")
    @classmethod
    def _has_openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError("must hold `openid`")
        return value


def require_safe_url(url: str) -> None:
    """Accept https anywhere, and plain http on this machine only.

    Raises
    ------
    ValueError
        If tokens sent to ``url`` could be read on the way.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.username or not parts.hostname:
        raise ValueError("must be a plain address, without query, fragment or account")
    if parts.scheme == "https":
        return
    if parts.scheme != "http" or not is_loopback(parts.hostname):
        raise ValueError("must be https; plain http only on this machine")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine by name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
