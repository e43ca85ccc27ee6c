"""A plain JupyterHub with a proxy of its own, as the peer of benchmarks."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from hub.demo.configure import HOST, free_ports
from hub.demo.install import PROXY, SESSION_ENVIRONMENT, find_node
from tests.support.bench_processes import ROOT, base_environment, running


@dataclass(frozen=True, slots=True)
class StockHub:
    """One that runs. ``token`` is a service's that may do all that the benchmarks need."""

    url: str
    api_url: str
    token: str
    password: str
    hub: psutil.Process
    proxy: psutil.Process

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the service's calls."""
        return {"Authorization": f"token {self.token}"}

    def token_of(self, person: str) -> str:
        """A new token of a person."""
        reply = httpx.post(f"{self.api_url}/users/{person}/tokens", headers=self.headers, json={})
        token: str = reply.raise_for_status().json()["token"]
        return token

    def told(self, person: str, name: str, token: str, origin: str) -> dict[str, str]:
        """What a hub would tell a server of a person, by variables; it listens at ``origin``."""
        prefix = server_prefix(person, name)
        return {
            "JUPYTERHUB_API_URL": self.api_url,
            "JUPYTERHUB_API_TOKEN": token,
            "JUPYTERHUB_USER": person,
            "JUPYTERHUB_SERVER_NAME": name,
            "JUPYTERHUB_SERVICE_URL": f"{origin}{prefix}",
            "JUPYTERHUB_SERVICE_PREFIX": prefix,
            "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{person}-{name}",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{prefix}oauth_callback",
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": f'["access:servers!user={person}"]',
            "JUPYTERHUB_ACTIVITY_URL": f"{self.api_url}/users/{person}/activity",
        }


def server_prefix(person: str, name: str) -> str:
    """Path of a named server."""
    return f"/user/{person}/{name}/"


_CONFIG = Path(__file__).with_name("bench_stock_config.py")


@contextmanager
def stock_hub(
    folder: Path,
    *,
    spawner: str,
    target: str = "",
    config: Path = _CONFIG,
    environment: Mapping[str, str] | None = None,
    host: str = HOST,
) -> Iterator[StockHub]:
    """Run a proxy and a JupyterHub in ``folder``; ``spawner`` is ``null`` or ``local``.

    ``environment`` is for another ``config``; the hub listens at ``host``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ports, node = free_ports(), find_node()
    if node is None:
        raise RuntimeError("Node is missing: run make demo once")
    hub_url = f"http://{host}:{ports.hub}"
    token, password, proxy_token = (secrets.token_hex(16) for _ in range(3))
    base = {**base_environment(), "CONFIGPROXY_AUTH_TOKEN": proxy_token}
    ours = {
        **base,
        **(environment or {}),
        "PYTHONPATH": str(ROOT),
        "BENCH_FOLDER": str(folder),
        "BENCH_PUBLIC_URL": f"http://{HOST}:{ports.public}",
        "BENCH_HUB_URL": hub_url,
        "BENCH_PROXY_API": f"http://{HOST}:{ports.proxy_api}",
        "BENCH_TOKEN": token,
        "BENCH_PASSWORD": password,
        "BENCH_SPAWNER": spawner,
        "BENCH_TARGET": target,
        "BENCH_ENVIRONMENT": str(SESSION_ENVIRONMENT),
    }
    proxy_words = ["--ip", HOST, "--port", str(ports.public), "--api-ip", HOST]
    proxy_words += ["--api-port", str(ports.proxy_api), "--default-target", hub_url, "--log-level", "warn"]
    jupyterhub = Path(sys.executable).with_name("jupyterhub")
    with ExitStack() as stack:
        proxy = stack.enter_context(
            running(
                [node[0], str(PROXY), *proxy_words],
                base,
                folder / "proxy.log",
                f"http://{HOST}:{ports.proxy_api}/api/routes",
            )
        )
        hub = stack.enter_context(
            running([str(jupyterhub), "-f", str(config)], ours, folder / "hub.log", f"{hub_url}/hub/api/")
        )
        public = f"http://{HOST}:{ports.public}"
        yield StockHub(public, f"{hub_url}/hub/api", token, password, hub, proxy)
