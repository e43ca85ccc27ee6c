"""What an operator sets for the token gateway: a closed YAML file of its own.

It is not the service's configuration, so that the service's account needs no right to change who
gets tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

NAME_PATTERN = r"^[a-z][a-z0-9._-]{0,31}\Z"
"""Names that tokens are minted for; the same that may run sessions."""

AccountName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,31}$")]
GroupName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. -]{0,63}$")]
Uid = Annotated[int, Field(ge=0, lt=2**32 - 1, strict=True)]


class GatewayConfigError(Exception):
    """The gateway cannot start with this; names the file, the key and the cause."""


class Closed(BaseModel):
    """Base of these settings: frozen, unknown keys stop the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AllowSettings(Closed):
    """People who may be given tokens, beside the service account: members of a group, or by name."""

    groups: tuple[GroupName, ...] = Field(default=(), description="POSIX groups; primary groups count.")
    people: tuple[AccountName, ...] = Field(default=(), description="Accounts by name.")


class GatewaySettings(Closed):
    """The token gateway."""

    socket: Path = Field(
        description="Unix socket to listen on; its folder must be there. Made with mode 0660."
    )
    socket_group: GroupName | None = Field(
        default=None, description="Group of the socket; null leaves the process's own."
    )
    key_file: Path = Field(
        description="Slurm's signing key (jwt_hs256.key), owned by the gateway's user, mode 0600 or 0400."
    )
    peers: tuple[AccountName | Uid, ...] = Field(
        min_length=1, description="Accounts, by name or uid, whose processes may ask: the service's."
    )
    service_account: AccountName = Field(
        default="panhub", description="The one account below the floor that tokens are minted for."
    )
    allow: AllowSettings = Field(default=AllowSettings(), description="Who may be given tokens.")
    uid_floor: int = Field(default=1000, ge=1, description="No tokens for accounts below this uid.")
    slurm_user: AccountName = Field(
        default="slurm", description="SlurmUser of slurm.conf: never gets one, its token is root's."
    )
    lifetime_s: int = Field(default=300, ge=10, le=900, description="How long a token is good, in seconds.")
    per_minute: int = Field(
        default=60, ge=1, le=6000, description="Most tokens for one user in a minute, refusals counted too."
    )
    audit_file: Path | None = Field(
        default=None, description="File that each decision is added to; null writes to standard error."
    )
    directory_timeout_s: float = Field(
        default=5, ge=0.1, le=60, description="Longest wait for the system's accounts (NSS, LDAP)."
    )

    @model_validator(mode="after")
    def _keeps_the_mighty_out(self) -> Self:
        mighty = {"root", self.slurm_user}
        if self.service_account in mighty or mighty & set(self.allow.people):
            raise ValueError("root and slurm_user get no tokens: take them out of service_account and allow")
        return self


def load_gateway_settings(path: Path) -> GatewaySettings:
    """Read and check the file; relative paths in it are relative to it.

    Raises
    ------
    GatewayConfigError
        If it cannot be read, or with the keys and causes of all that is wrong in it.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)  # the safe loader, in C
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise GatewayConfigError(f"{path}: {error}") from error
    try:
        settings = GatewaySettings.model_validate(raw)
    except ValidationError as error:
        causes = "\n".join(f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise GatewayConfigError(f"{path}:\n{causes}") from error
    base = path.resolve().parent
    paths = {name: base / value for name, value in settings if isinstance(value, Path)}
    return settings.model_copy(update=paths)
