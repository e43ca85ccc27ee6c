"""What is the demo's configuration? Written anew at each start, secrets only once.

The same closed settings file as a site writes; nothing in the application knows that it is a demo.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hub.demo.install import ROOT
from hub.settings import Settings, load_settings

if TYPE_CHECKING:
    from hub.demo.desktops import Desktops
    from hub.demo.site import DemoSite

HOST = "127.0.0.1"
"""Everything of a demo listens here and nowhere else, but for what sessions elsewhere must reach."""

SECRETS = ("internal", "service-token", "crypt-key", "cookie", "proxy-token", "oidc-client")
DESKTOP_SECRETS = ("desktop", "desktop-token")


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the demo's processes; ``public`` is the one that browsers use."""

    public: int = 8000
    proxy_api: int = 8001
    service: int = 8002
    provider: int = 8003
    hub: int = 8081
    desktop: int = 8004

    def taken(self) -> tuple[int, ...]:
        """Those that something else listens on."""
        return tuple(port for port in astuple(self) if not is_free(port))


def free_ports(*, public: int | None = None) -> Ports:
    """Ports that nothing listens on now; ``public`` may be given."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in fields(Ports)]
        for one in sockets:
            one.bind((HOST, 0))
        ports = Ports(*(one.getsockname()[1] for one in sockets))
    return ports if public is None else replace(ports, public=public)


def choose_ports(public: int | None) -> tuple[Ports, str]:
    """Default ports where they are free, others where not, and a line that says so.

    A public port that was asked for is never replaced.
    """
    wanted = Ports() if public is None else replace(Ports(), public=public)
    taken = wanted.taken()
    if not taken:
        return wanted, ""
    free = free_ports(public=wanted.public if wanted.public not in taken else public)
    names = ", ".join(str(port) for port in taken)
    return free, f"Taken by another program: port {names}. Using {free.public} for browsers instead."


def is_free(port: int) -> bool:
    """Whether a process of ours could listen there."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier demo that linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def write_configuration(
    state: Path, ports: Ports, site: DemoSite | None = None, desktops: Desktops | None = None
) -> tuple[Path, Settings]:
    """Write settings and missing secrets below ``state``; return the file and what it says.

    With a ``site`` its sections are put in, and other people may pass through the folder; without
    ``desktops`` there are none.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.chmod(0o700 if site is None else 0o711)
    folder = state / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in (*SECRETS, *(DESKTOP_SECRETS if desktops else ())):
        _make_secret(folder / name)
    path = state / "panhub.yaml"
    raw = _settings(state, ports)
    if desktops is not None:
        raw["desktop"] = desktops.section(ports.desktop, folder)
    if site is not None:
        site.change(raw)
    text = yaml.safe_dump(raw, sort_keys=False, allow_unicode=True)
    path.write_text(f"# Written by panhub demo at each start: changes are lost.\n{text}", encoding="utf-8")
    path.chmod(0o600)
    return path, load_settings(path)


def _settings(state: Path, ports: Ports) -> dict[str, Any]:
    folder = state / "secrets"
    return {
        "site": {
            "name": "PaNHub demo",
            "public_url": f"http://{HOST}:{ports.public}",
            "support": "the person who started this demo",
        },
        "service": {
            "bind": HOST,
            "port": ports.service,
            "internal_secret_file": str(folder / "internal"),
            "state": str(state / "service"),
            "stop_sessions_at_exit": True,
        },
        "hub": {
            "bind": HOST,
            "port": ports.hub,
            "database": f"sqlite:///{state / 'jupyterhub.sqlite'}",
            "service_token_file": str(folder / "service-token"),
            "crypt_key_file": str(folder / "crypt-key"),
            "cookie_secret_file": str(folder / "cookie"),
            "proxy_api_url": f"http://{HOST}:{ports.proxy_api}",
            "proxy_token_file": str(folder / "proxy-token"),
        },
        "database": {"url": f"sqlite:///{state / 'panhub.sqlite'}"},
        "identity": {
            "issuer": f"http://{HOST}:{ports.provider}",
            "client_secret_file": str(folder / "oidc-client"),
            "login_service": "demo account",
            "accounts": {"kind": "service", "homes": str(state / "homes")},
        },
        "catalogue": {"kind": "files", "folder": str(state / "catalogue")},
        "data": {"root": str(state / "data/visitor")},
        "profiles": {
            "file": str(ROOT / "profiles/site/demo.yaml"),
            "environments_root": str(ROOT),
        },
        "quota": _quota(_proposals(state / "catalogue/proposals")),
        "local": {"state": str(state / "local")},
    }


def _quota(proposals: Iterable[str]) -> dict[str, Any]:
    # Generous for most; the outsider has little, so that a refusal can be seen.
    return {
        "enforcement": "enforced",
        "roles": [
            {"group": "panhub:users", "resource": "cpu_hours", "limit": 60, "window": "week"},
            {"group": "panhub:users", "resource": "sessions", "limit": 4},
        ],
        "proposals": [
            {"proposal": name, "resource": "cpu_hours", "limit": 200, "window": "month"} for name in proposals
        ],
        "persons": [{"person": "rui", "resource": "cpu_hours", "limit": 6, "window": "week"}],
    }


def _proposals(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _make_secret(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
