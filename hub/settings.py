"""What an operator sets: one closed YAML file, read once and checked as a whole at start.

The same file is read by the service (`panhub serve`), by the hub (`jupyterhub_config.py`) and by
`panhub check`. Relative paths are relative to the file. Secrets are never in it: it names files
that only the service's account may read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from hub.access.policy import AccessPolicy
from hub.desktop.settings import DesktopSettings
from hub.identity.settings import IdentitySettings
from quota.policy import QuotaSettings
from spawners.batchspawner.settings import BatchspawnerSettings
from spawners.kubernetes.settings import KubernetesSettings
from spawners.local.settings import LocalSettings
from spawners.slurm.settings import SlurmSettings

SERVICE_PREFIX = "/services/panhub"
"""Where the proxy shows the service; JupyterHub derives it from the service's name."""

SERVICE_NAME = "panhub"
SERVICE_CLIENT_ID = "service-panhub"
HUB_PREFIX = "/hub"

Address = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9:])?$")]
"""Name or address of a machine, as in a URL but without brackets."""


class ConfigError(Exception):
    """The configuration cannot be used: names the file, the key and the cause."""


class Closed(BaseModel):
    """Base of all settings: frozen, unknown keys stop the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SiteSettings(Closed):
    """How people see the site."""

    name: str = Field(default="PaNHub", max_length=60, description="Name on every page.")
    public_url: str = Field(
        default="http://127.0.0.1:8000",
        description="Address at which browsers reach the proxy, without a path.",
    )
    support: str = Field(default="", max_length=200, description="Whom to ask: an address shown on refusals.")

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
            raise ValueError("must be http(s)://host[:port] without a path")
        return value.rstrip("/")


class ServiceSettings(Closed):
    """The engine's process."""

    bind: str = Field(default="127.0.0.1", description="Address to listen on; the proxy must reach it.")
    address: Address | None = Field(
        default=None,
        description="Name or address at which hub, tunnel and proxy reach it, where `bind` is all addresses "
        "(another machine, a pod); null takes `bind`.",
    )
    port: int = Field(default=8002, ge=1, le=65535, description="Port to listen on.")
    internal_secret_file: Path = Field(
        description="File with the secret by which the hub speaks to the service."
    )
    state: Path = Field(description="Folder for locks and what must survive a restart.")
    stop_sessions_at_exit: bool = Field(
        default=False, description="End all sessions on SIGTERM: for a demo, never for a site."
    )
    session_report_url: str | None = Field(
        default=None, description="Base URL at which sessions reach the service; null takes bind and port."
    )

    @property
    def url(self) -> str:
        """Base URL of the service on its own port."""
        return f"http://{url_host(self.address or self.bind)}:{self.port}"


class HubSettings(Closed):
    """The JupyterHub process and its proxy."""

    bind: str = Field(default="127.0.0.1", description="Address the hub listens on.")
    address: Address | None = Field(
        default=None,
        description="Name or address at which service, tunnel and proxy reach it, where `bind` is all "
        "addresses; null takes `bind`.",
    )
    port: int = Field(default=8081, ge=1, le=65535, description="Port the hub listens on.")
    session_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#@]+$",
        description="Base URL at which sessions reach the hub, without a path; null takes address and port.",
    )
    database: str = Field(
        default="sqlite:///jupyterhub.sqlite", description="The hub's own database; never ours."
    )
    service_token_file: Path = Field(description="File with the service's token for the hub's API.")
    crypt_key_file: Path = Field(
        description="File with the key (64 hexadecimal digits) that encrypts auth state."
    )
    cookie_secret_file: Path = Field(description="File with the hub's cookie secret.")
    proxy_api_url: str = Field(default="http://127.0.0.1:8001", description="API of configurable-http-proxy.")
    proxy_token_file: Path = Field(description="File with the proxy's API token.")

    @property
    def api_url(self) -> str:
        """Base URL of the hub's REST API."""
        return f"{self.url}{HUB_PREFIX}/api"

    @property
    def url(self) -> str:
        """Base URL of the hub on its own port, without its prefix."""
        return f"http://{url_host(self.address or self.bind)}:{self.port}"


class DatabaseSettings(Closed):
    """The service's own database."""

    url: str = Field(
        default="sqlite:///panhub.sqlite",
        description="SQLAlchemy URL: SQLite or postgresql+psycopg. A password belongs into ~/.pgpass.",
    )


class CatalogueSettings(Closed):
    """Where proposals and data sets are known."""

    kind: Literal["files"] = Field(default="files", description="`files`: YAML beside the data.")
    folder: Path = Field(description="Folder of the YAML files.")


class DataSettings(Closed):
    """The storage with the data."""

    root: Path = Field(description="Folder that investigation paths of the catalogue are relative to.")
    layout: Literal["esrf-v3", "ill"] = Field(
        default="esrf-v3", description="How an investigation's folder is laid out."
    )
    target: str = Field(
        default="/data/visitor", pattern=r"^/[a-z0-9/_-]+$", description="Where sessions see the data root."
    )


class ProfilesSettings(Closed):
    """What is offered."""

    file: Path = Field(description="profiles.yaml of the site.")
    environments_root: Path | None = Field(
        default=None, description="Folder that relative prefixes start from."
    )


class TemplatesSettings(Closed):
    """Which templates are offered."""

    folders: tuple[Path, ...] = Field(
        default=(), description="Further folders of templates, beside those that ship."
    )
    include_shipped: bool = Field(default=True, description="Whether the templates that ship are offered.")


class SessionSettings(Closed):
    """Rules for every session."""

    start_timeout_s: int = Field(
        default=120, ge=5, le=3600, description="A session that runs must answer within this many seconds."
    )
    hand_over_timeout_s: int = Field(
        default=60, ge=5, le=600, description="A launch the hub does not start within this time is given up."
    )
    warn_before_s: tuple[Annotated[int, Field(ge=60)], ...] = Field(
        default=(1800, 600), description="When to warn before the end, in seconds."
    )
    recheck_access_s: float = Field(
        default=300,
        ge=1,
        le=3600,
        description="How often access to the data of running sessions is decided anew, in seconds.",
    )
    extend_step_s: int = Field(default=3600, ge=300, description="What one click on Extend adds, in seconds.")
    idle_end_s: int | None = Field(
        default=None,
        ge=10,
        description="A session that nobody uses for this long is ended, in seconds; null never ends one. "
        "An open tab is no use, a kernel that computes is.",
    )
    idle_warn_s: int = Field(
        default=600, ge=4, description="How long before such an end people are warned, in seconds."
    )

    @model_validator(mode="after")
    def _there_is_time_before_the_warning(self) -> Self:
        if self.idle_end_s is not None and 2 * self.idle_warn_s > self.idle_end_s:
            raise ValueError("`idle_warn_s` may be half of `idle_end_s` at most")
        return self


class Settings(Closed):
    """The whole configuration."""

    site: SiteSettings = SiteSettings()
    service: ServiceSettings
    hub: HubSettings
    database: DatabaseSettings = DatabaseSettings()
    identity: IdentitySettings
    catalogue: CatalogueSettings
    data: DataSettings
    access: AccessPolicy = AccessPolicy()
    profiles: ProfilesSettings
    templates: TemplatesSettings = TemplatesSettings()
    quota: QuotaSettings = QuotaSettings()
    sessions: SessionSettings = SessionSettings()
    local: LocalSettings
    slurm: SlurmSettings = SlurmSettings()
    batchspawner: BatchspawnerSettings = BatchspawnerSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    desktop: DesktopSettings | None = None


def load_settings(path: Path) -> Settings:
    """Read and check the configuration.

    Raises
    ------
    ConfigError
        If the file cannot be read, or with the keys and causes of all that is wrong in it.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)  # the safe loader, in C
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must be a mapping of sections")
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        causes = "\n".join(
            f"  {'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()
        )
        raise ConfigError(f"{path}:\n{causes}") from error
    # Of all paths, this one is written to by the service, so it is relative to the service's own folder.
    records = settings.service.state / settings.batchspawner.state
    batchspawner = settings.batchspawner.model_copy(update={"state": records})
    settings = settings.model_copy(update={"batchspawner": batchspawner})
    resolved: Settings = _absolute(settings, path.resolve().parent)
    return resolved


def settings_path() -> Path:
    """Configuration file named by the environment variable ``PANHUB_CONFIG``."""
    name = os.environ.get("PANHUB_CONFIG", "")
    if not name:
        raise ConfigError("PANHUB_CONFIG is not set: it names the configuration file")
    return Path(name)


def read_secret(path: Path) -> str:
    """Secret in a file of one line.

    Raises
    ------
    ConfigError
        If it cannot be read, is short, or others may read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: others may read this secret; run chmod 600 on it")
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(value) < 16:
        raise ConfigError(f"{path}: a secret needs at least 16 characters")
    return value


def url_host(address: str) -> str:
    """An address as URLs have it: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def _absolute(value: Any, base: Path) -> Any:
    """Copy of a settings model with every relative path put under ``base``."""
    if isinstance(value, Path):
        return value if value.is_absolute() else base / value
    if isinstance(value, BaseModel):
        fields = {name: _absolute(getattr(value, name), base) for name in type(value).model_fields}
        return value.model_copy(update=fields)
    if isinstance(value, dict):
        return {name: _absolute(item, base) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_absolute(item, base) for item in value)
    return value
