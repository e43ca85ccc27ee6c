"""Is everything in its place? What ``panhub check`` looks at, and what to mend.

Each check is a small function of the settings that looks at one thing and changes nothing. They
run beside each other; one that fails in a way nobody thought of is itself a finding.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from tornado.httpclient import AsyncHTTPClient

from hub import migrate
from hub.catalogue.files import CatalogueFileError, load
from hub.checks.batchspawner import check_batchspawner
from hub.checks.desktop import check_desktop_programs, check_desktop_secrets, check_guacd, check_tunnel
from hub.checks.finding import Finding, Level, Trouble, found
from hub.checks.slurm import check_slurm
from hub.settings import SERVICE_PREFIX, ConfigError, Settings, load_settings, read_secret
from profiles.loader import Profiles, ProfilesError, load_profiles
from profiles.places import KubernetesPlace
from spawners.local.bubblewrap import probe
from templates.catalogue import BUILTIN, Library, TemplateError

_PATIENCE_S = 5.0
_READING_S = 120.0
"""Longest time for what reads files: a large catalogue on a slow file system takes a while."""


Check = Callable[[Settings], str] | Callable[[Settings], Awaitable[str]]


async def run_checks(config: Path, person: str | None = None) -> tuple[Finding, ...]:
    """Check a configuration and what it names.

    A file that cannot be read as configuration is the one finding then. ``person`` is the POSIX
    account as whom the nodes of Slurm clusters are looked at; None leaves them out.
    """
    try:
        settings = await asyncio.to_thread(load_settings, config)
    except ConfigError as error:
        return (Finding("configuration", Level.FAULT, str(error), "Correct the keys that are named."),)
    checks = dict(CHECKS)
    if settings.batchspawner.clusters:
        checks["batchspawner"] = check_batchspawner
    if settings.desktop is not None:
        checks |= DESKTOP_CHECKS
    run, clusters = await asyncio.gather(
        asyncio.gather(*(_run(name, check, settings) for name, check in checks.items())),
        _run_clusters(settings, person),
    )
    return (Finding("configuration", Level.FINE, f"{config} is valid"), *run, *clusters)


def to_json(findings: Sequence[Finding]) -> str:
    """Findings as a JSON document."""
    is_fine = all(finding.is_fine for finding in findings)
    return json.dumps({"fine": is_fine, "findings": [asdict(finding) for finding in findings]}, indent=2)


def to_text(findings: Sequence[Finding]) -> str:
    """Findings as lines for a terminal; what to mend stands below each."""
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        first, *more = finding.text.splitlines() or [""]
        lines.append(f"{_SIGNS[finding.level]} {finding.check:<{width}}  {first}")
        lines += [f"{'':{width + 10}}{line}" for line in more]
        if finding.mend:
            lines.append(f"{'':{width + 10}}→ {finding.mend}")
    return "\n".join(lines)


_SIGNS = {Level.FINE: "ok     ", Level.WARNING: "warning", Level.FAULT: "FAULT  "}


async def _run(name: str, check: Check, settings: Settings) -> Finding:
    if asyncio.iscoroutinefunction(check):
        answer, timeout_s = check(settings), 3 * _PATIENCE_S
    else:
        answer, timeout_s = asyncio.to_thread(check, settings), _READING_S
    return await found(name, answer, timeout_s=timeout_s)


async def _run_clusters(settings: Settings, person: str | None) -> list[Finding]:
    try:
        profiles = await asyncio.to_thread(_profiles, settings)
    except Trouble:
        profiles = None  # `check_profiles` says what is wrong with them
    slurm = await check_slurm(settings, profiles, person)
    if not settings.kubernetes.clusters and not _has_pods(profiles):
        return slurm
    # Its import takes a second, which nobody without such a cluster is to wait for.
    from hub.checks.kubernetes import check_kubernetes

    return [*slurm, *await check_kubernetes(settings, profiles)]


def _has_pods(profiles: Profiles | None) -> bool:
    places = {} if profiles is None else profiles.places
    return any(isinstance(place, KubernetesPlace) for place in places.values())


def check_secrets(settings: Settings) -> str:
    """Every secret file is there, long enough and private."""
    files = (
        settings.service.internal_secret_file,
        settings.hub.service_token_file,
        settings.hub.crypt_key_file,
        settings.hub.cookie_secret_file,
        settings.hub.proxy_token_file,
        settings.identity.client_secret_file,
    )
    troubles = []
    for path in files:
        try:
            read_secret(path)
        except ConfigError as error:
            troubles.append(str(error))
    if troubles:
        mend = "Make each with: (umask 077; openssl rand -hex 32 > FILE), owned by the account that reads it."
        raise Trouble("\n".join(troubles), mend)
    _check_key(settings.hub.crypt_key_file)
    _check_key(settings.hub.cookie_secret_file)
    return f"{len(files)} files, readable by their owner only"


def _check_key(path: Path) -> None:
    value = read_secret(path)
    try:
        is_right = len(bytes.fromhex(value)) == 32
    except ValueError:
        is_right = False
    if not is_right:
        mend = f"Make it anew with: openssl rand -hex 32 > {path}"
        raise Trouble(f"{path}: the key must be 64 hexadecimal digits", mend)


def check_database(settings: Settings) -> str:
    """The service's database answers and is at this version's revision."""
    url = settings.database.url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        raise Trouble(f"{url} is not there yet", "Run: panhub database upgrade", Level.WARNING)
    try:
        differences = migrate.check(url)
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise Trouble(f"no answer: {cause}", "Start the database, or correct database.url.") from error
    if differences:
        raise Trouble("\n".join(differences), "Stop the service, then run: panhub database upgrade")
    return f"is at revision {migrate.newest()}"


def check_profiles(settings: Settings) -> str:
    """The profiles file is valid and the environments of local places are there."""
    profiles = _profiles(settings)
    local = {
        p.environment
        for p in profiles.profiles.values()
        if any(profiles.places[name].backend == "local" for name in p.places)
    }
    missing = []
    for name in sorted(local):
        program = Path(profiles.environments[name].prefix) / "bin/jupyterhub-singleuser"
        if not os.access(program, os.X_OK):
            missing.append(f"environment {name}: no {program}")
    if missing:
        mend = "Install the environment from its lock file, or correct its prefix."
        raise Trouble("\n".join(missing), mend)
    return f"{len(profiles.profiles)} profiles, {len(profiles.environments)} environments"


def _profiles(settings: Settings) -> Profiles:
    try:
        return load_profiles(settings.profiles.file, environments_root=settings.profiles.environments_root)
    except ProfilesError as error:
        raise Trouble(str(error), "Correct the lines that are named.") from error


def check_templates(settings: Settings) -> str:
    """All templates load."""
    shipped = (BUILTIN,) if settings.templates.include_shipped else ()
    try:
        library = Library.load((*shipped, *settings.templates.folders))
    except (TemplateError, OSError) as error:
        raise Trouble(str(error), "Correct the template, or take its folder out.") from error
    return f"{len(library.all())} templates"


def check_catalogue(settings: Settings) -> str:
    """The catalogue loads."""
    try:
        index = load(settings.catalogue.folder)
    except CatalogueFileError as error:
        raise Trouble(str(error), "Correct the file that is named.") from error
    return f"{index.facility.name}: files are valid"


def check_data(settings: Settings) -> str:
    """The data root can be read."""
    root = settings.data.root
    if not root.is_dir() or not os.access(root, os.R_OK | os.X_OK):
        raise Trouble(f"{root} cannot be read", "Mount the storage, or correct data.root.")
    return f"{root} can be read"


def check_isolation(settings: Settings) -> str:
    """Sessions on this machine get a data view of their own."""
    if not any(place.backend == "local" for place in _profiles(settings).places.values()):
        return "no sessions on this machine"
    isolation = probe(settings.local.isolation)
    if isolation.kind == "bubblewrap":
        return isolation.reason
    level = Level.FAULT if settings.local.isolation == "required" else Level.WARNING
    text = f"{isolation.reason}: sessions on this machine are not kept from each other's files"
    raise Trouble(text, "Install bubblewrap (apt install bubblewrap) and allow user namespaces.", level)


def check_state(settings: Settings) -> str:
    """The service can write its folders, and others cannot read them."""
    for folder in (settings.service.state, settings.local.state):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not os.access(there, os.W_OK):
            raise Trouble(f"{there} cannot be written", f"Give it to the service's account: chown … {there}")
        if folder.exists() and folder.stat().st_mode & 0o077:
            raise Trouble(f"{folder} is open to others", f"Run: chmod 700 {folder}")
    return "folders can be written"


async def check_identity(settings: Settings) -> str:
    """The provider answers and is the one that is named."""
    issuer = settings.identity.issuer
    status, body = await _get(f"{issuer}/.well-known/openid-configuration")
    mend = "Start the provider, or correct identity.issuer: it must be exactly what the provider states."
    if status != HTTPStatus.OK:
        raise Trouble(f"{issuer} does not answer ({_said(status)})", mend)
    stated = json.loads(body).get("issuer")
    if stated != issuer:
        raise Trouble(f"the provider calls itself {stated}, not {issuer}", mend)
    return f"{issuer} answers"


async def check_proxy(settings: Settings) -> str:
    """The proxy's API answers to our token; where it does not run, its program is installed."""
    token = read_secret(settings.hub.proxy_token_file)
    url = settings.hub.proxy_api_url
    status, _ = await _get(f"{url}/api/routes", Authorization=f"token {token}")
    if status == HTTPStatus.OK:
        return f"{url} answers"
    if status == HTTPStatus.FORBIDDEN:
        mend = "Start it with CONFIGPROXY_AUTH_TOKEN set to the content of hub.proxy_token_file."
        raise Trouble(f"{url} does not take our token", mend)
    installed = Path(__file__).parents[1] / "node_modules/.bin/configurable-http-proxy"
    if not installed.exists() and shutil.which("configurable-http-proxy") is None:
        raise Trouble("configurable-http-proxy is not installed", "Run npm ci, with Node 20 or newer.")
    raise Trouble(f"{url} does not answer ({_said(status)})", "Start the proxy.", Level.WARNING)


async def check_hub(settings: Settings) -> str:
    """The hub runs and takes the service's token, or its port is free."""
    token = read_secret(settings.hub.service_token_file)
    url = f"{settings.hub.api_url}/user"
    status, _ = await _get(url, Authorization=f"token {token}")
    if status == HTTPStatus.FORBIDDEN:
        raise Trouble("the hub does not take the service's token", "Restart the hub with this configuration.")
    if status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
        _check_port_is_free(settings.hub.bind, settings.hub.port, "the hub")
    return f"{settings.hub.api_url} answers"


async def check_service(settings: Settings) -> str:
    """The service runs, or its port is free."""
    url = f"{settings.service.url}{SERVICE_PREFIX}/health"
    status, body = await _get(url)
    if status == HTTPStatus.OK and b'"status"' in body:
        return f"{settings.service.url} answers"
    _check_port_is_free(settings.service.bind, settings.service.port, "the service")
    return ""


def _check_port_is_free(host: str, port: int, who: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe_socket:
        probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe_socket.bind((host, port))
        except OSError as error:
            mend = f"Stop what listens there, or give {who} another port."
            raise Trouble(f"{host}:{port} is not to be had: {error.strerror}", mend) from error
    raise Trouble(f"{who} does not run; port {port} is free", f"Start {who}.", Level.WARNING)


async def check_public_url(settings: Settings) -> str:
    """Browsers reach the hub at the public address."""
    url = f"{settings.site.public_url}/hub/api/"
    status, _ = await _get(url)
    if status == HTTPStatus.OK:
        return f"{settings.site.public_url} answers"
    host = urlsplit(settings.site.public_url).hostname
    mend = f"Look whether {host} leads to the proxy and the hub runs."
    raise Trouble(f"{url} does not answer ({_said(status)})", mend, Level.WARNING)


async def _get(url: str, **headers: str) -> tuple[int, bytes]:
    """Status and body; 599 when there was no answer."""
    try:
        answer = await AsyncHTTPClient().fetch(
            url, headers=headers, raise_error=False, follow_redirects=False, request_timeout=_PATIENCE_S
        )
    except (OSError, TimeoutError):
        return 599, b""
    return answer.code, answer.body or b""


def _said(status: int) -> str:
    return "no answer" if status == 599 else f"HTTP {status}"


CHECKS: dict[str, Any] = {
    "secrets": check_secrets,
    "folders": check_state,
    "database": check_database,
    "catalogue": check_catalogue,
    "data": check_data,
    "profiles": check_profiles,
    "templates": check_templates,
    "isolation": check_isolation,
    "identity": check_identity,
    "proxy": check_proxy,
    "service": check_service,
    "hub": check_hub,
    "public address": check_public_url,
}
"""All checks by the name that people see, in the order in which a site is put together."""

DESKTOP_CHECKS: dict[str, Any] = {
    "desktop secrets": check_desktop_secrets,
    "guacd": check_guacd,
    "desktop programs": lambda settings: check_desktop_programs(_profiles(settings)),
    "tunnel": check_tunnel,
}
"""Those of desktops, where a site has them."""
