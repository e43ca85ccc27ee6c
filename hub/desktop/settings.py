"""What an operator sets about desktops: the tunnel's process, guacd, sharing, workstations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

SERVICE_NAME = "desktop"
SERVICE_PREFIX = "/services/desktop"
SERVICE_CLIENT_ID = "service-desktop"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,250}[A-Za-z0-9])?$")]


_HOST_KEYS = {
    "rdp": re.compile(r"(?:sha256:)?[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31}"),
    "ssh": re.compile(r"(?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]{1,60} [A-Za-z0-9+/]{16,1900}={0,2}"),
}
_HOST_KEY_FORMS = {
    "rdp": "the SHA-256 fingerprint of the certificate: 32 pairs of hex digits with colons between them",
    "ssh": "type and base64 of a public key, as in known_hosts: ssh-ed25519 AAAA…",
}


class Closed(BaseModel):
    """Base of these settings: frozen, unknown keys stop the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SandboxedGuacd(Closed):
    """guacd started by `panhub desktop` itself, where it can reach nothing but the tunnel."""

    kind: Literal["sandbox"]
    root: Path | None = Field(
        default=None,
        description="Folder with guacd and its libraries as a small root; null takes the system's guacd.",
    )


class AddressedGuacd(Closed):
    """guacd that the operator runs beside the tunnel, on its loopback: a container of the same pod."""

    kind: Literal["address"]
    host: Host = Field(default="127.0.0.1", description="Address of guacd.")
    port: int = Field(default=4822, ge=1, le=65535, description="Port of guacd.")


class SharingSettings(Closed):
    """Rules of sharing."""

    unreadable: Literal["warn", "forbid"] = Field(
        default="warn",
        description="What happens when somebody is invited who may not read the session's data: the owner is "
        "told and must confirm, or it is refused.",
    )
    when_owner_leaves: Literal["disconnect", "lock", "stay"] = Field(
        default="lock", description="What others may do while the owner is away; the owner can change it."
    )
    most_people: int = Field(default=12, ge=1, le=100, description="Most people in one desktop at once.")
    viewers_copy: bool = Field(
        default=False, strict=True, description="Whether viewers get the desktop's clipboard."
    )
    lab: bool = Field(
        default=True,
        strict=True,
        description="Whether people with control of a session get its JupyterLab too; it acts as its owner.",
    )


class WorkstationSettings(Closed):
    """A machine with a screen of its own: a control computer of a beamline."""

    title: str = Field(max_length=80, description="Name that people read.")
    instrument: str = Field(max_length=64, description="Instrument whose staff and visiting teams use it.")
    protocol: Literal["vnc", "rdp", "ssh"] = Field(description="How it is reached.")
    host: Host = Field(description="Its address.")
    port: int = Field(ge=1, le=65535, description="Its port.")
    username: str = Field(default="", max_length=64, description="Account on it (RDP, SSH).")
    password_file: Path | None = Field(
        default=None, description="File with its password; for the tunnel's account only."
    )
    private_key_file: Path | None = Field(
        default=None, description="File with an SSH key, in place of a password."
    )
    host_key: str | None = Field(
        default=None,
        max_length=2000,
        description="SSH: public key of the host (type and base64); RDP: SHA-256 of its certificate.",
    )
    security: Literal["nla", "tls"] = Field(
        default="nla", description="How RDP is protected: nla (Windows), tls (xrdp)."
    )
    trust_network: bool = Field(
        default=False,
        strict=True,
        description="RDP, SSH: show it without `host_key`; whoever sits on the way could stand in for it.",
    )
    trust_ssh_server: bool = Field(
        default=False,
        strict=True,
        description="SSH: show it by a guacd before 1.6.0, in which a server can run code (CVE-2024-35164).",
    )
    screens: Annotated[int, Field(ge=1, le=2)] = Field(
        default=1, description="Screens it shows side by side."
    )
    keyboard: str = Field(default="us", max_length=8, description="Keyboard layout of the machine (RDP).")
    call_url: str | None = Field(
        default=None,
        max_length=300,
        pattern=r"^https://",
        description="Where to talk: shown beside the picture.",
    )
    margin_hours: float = Field(
        default=2.0, ge=0, le=72, description="How long before and after the beamtime the team may join."
    )

    @model_validator(mode="after")
    def _fits_its_protocol(self) -> Self:
        if self.private_key_file is not None and self.protocol != "ssh":
            raise ValueError("`private_key_file` is for ssh")
        if self.protocol == "vnc":
            if self.host_key is not None:
                raise ValueError("`host_key` is for rdp and ssh: VNC has none")
        elif self.host_key is None:
            if not self.trust_network:
                raise ValueError("needs `host_key`, by which the machine is known, or `trust_network: true`")
        elif not _HOST_KEYS[self.protocol].fullmatch(self.host_key):
            raise ValueError(f"`host_key` must be {_HOST_KEY_FORMS[self.protocol]}")
        return self


class DesktopSettings(Closed):
    """The tunnel and its rules. Without this section there are no desktops."""

    bind: str = Field(default="127.0.0.1", description="Address to listen on; the proxy must reach it.")
    address: Host | None = Field(
        default=None,
        description="Name or address at which the proxy reaches it, where `bind` is all addresses; null "
        "takes `bind`.",
    )
    port: int = Field(default=8004, ge=1, le=65535, description="Port to listen on.")
    secret_file: Path = Field(description="File with the secret by which the tunnel speaks to the service.")
    service_token_file: Path = Field(description="File with the tunnel's token for the hub's API.")
    key_file: Path = Field(
        description="File with the tunnel's Ed25519 key (PEM), made if missing; sessions get its public half."
    )
    guacd: Annotated[SandboxedGuacd | AddressedGuacd, Field(discriminator="kind")] = SandboxedGuacd(
        kind="sandbox"
    )
    recheck_grace_s: float = Field(
        default=120,
        ge=5,
        le=3600,
        description="How long connections stay while the service does not answer, in seconds.",
    )
    max_upload_mib: int = Field(
        default=2048, ge=1, le=1024 * 1024, description="Largest file that is brought in, in MiB."
    )
    sharing: SharingSettings = SharingSettings()
    workstations: dict[Name, WorkstationSettings] = Field(
        default_factory=dict, description="Workstations by name."
    )

    @field_validator("bind")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not value or "/" in value:
            raise ValueError("must be an address to listen on")
        return value

    @property
    def url(self) -> str:
        """Base URL of the tunnel on its own port."""
        host = self.address or self.bind
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
