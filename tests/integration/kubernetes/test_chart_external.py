"""The chart on PostgreSQL of the site: outside the cluster, by TLS, with a password for each part."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hub.demo import visitor as visitors
from hub.demo.visitor import Visitor
from tests.support import postgresql
from tests.support.chart import RELEASE
from tests.support.chart_install import Installed, installed
from tests.support.postgresql import Served

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.may_block("the identity provider runs in a thread of this process, and makes pages"),
]

_SECRET = "panhub-database"
HUB, SERVICE = _PARTS = ("jupyterhub", "panhub_service")
"""Roles, and databases of the same names."""

_STARTS_S = 240
_SHOWN = "cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'"


class SitesDatabase:
    """A server of the site, with a role and a database for each part."""

    def __init__(self) -> None:
        self.passwords = {part: secrets.token_urlsafe(24) for part in _PARTS}
        self.server: postgresql.Cluster | None = None
        self.port = 0

    @contextlib.contextmanager
    def __call__(self, release: Installed) -> Iterator[dict[str, Any]]:
        """Run it, and write the passwords into a Secret; gives the chart's values."""
        address = release.cluster.host_address
        with socket.create_server((address, 0)) as listener:
            self.port = listener.getsockname()[1]
        served = Served(address, self.port, release.certificate, release.folder / "tls.key")
        with postgresql.cluster(served=served) as self.server:
            with self.server.connect("postgres") as connection:
                for part, password in self.passwords.items():
                    connection.execute(f"CREATE ROLE {part} LOGIN PASSWORD '{password}'")
                    connection.execute(f"CREATE DATABASE {part} OWNER {part}")
            self._tell_passwords(release, address)
            more = "sslmode=verify-full&sslrootcert=/etc/panhub-trust/ca.crt"
            hub, service = (f"postgresql+psycopg://{it}@{address}:{self.port}/{it}?{more}" for it in _PARTS)
            given = {"hubUrl": hub, "url": service, "passwords": {"existingSecret": _SECRET}}
            yield {"kind": "external", "external": given}

    def _tell_passwords(self, release: Installed, address: str) -> None:
        lines = [f"{address}:{self.port}:{part}:{part}:{word}\n" for part, word in self.passwords.items()]
        data = {"pgpass": base64.b64encode("".join(lines).encode()).decode()}
        path = f"/api/v1/namespaces/{release.namespace}"
        release.cluster.api.apply(path, {"apiVersion": "v1", "kind": "Namespace"})
        secret = {"apiVersion": "v1", "kind": "Secret", "data": data}
        release.cluster.api.apply(f"{path}/secrets/{_SECRET}", secret)

    def ask(self, database: str, query: str) -> list[tuple[Any, ...]]:
        """Rows of an answer. Blocking."""
        assert self.server is not None
        with self.server.connect(database) as connection:
            return connection.execute(query).fetchall()


async def test_a_release_on_the_sites_own_postgresql(cluster, monkeypatch):
    database = SitesDatabase()
    making = await asyncio.to_thread(installed, cluster, database)
    release = await asyncio.to_thread(making.__enter__)
    try:
        await asyncio.to_thread(release.helm.test, RELEASE, timeout=180)
        trust = await asyncio.to_thread(ssl.create_default_context, cafile=str(release.certificate))
        monkeypatch.setattr(visitors, "_TLS", trust)
        maja = Visitor(release.url, "maja")
        await maja.sign_in()
        reply = await maja.api("POST", "/launches", json={"walltime_s": 3600})
        assert reply.status_code == 202, reply.text
        launch = await maja.wait_for(reply.json()["id"], "running", timeout_s=_STARTS_S)
        assert await maja.run_code(launch, "print(6 * 7)") == "42\n"
        await maja.aclose()
        await asyncio.to_thread(_look_at, release, database)

        await asyncio.to_thread(release.helm.uninstall, RELEASE, timeout=300, wait="watcher")
        query = f"SELECT state, usage IS NOT NULL FROM launches WHERE id = '{launch['id']}'"
        assert await asyncio.to_thread(database.ask, SERVICE, query) == [("ended", True)]
        held = "SELECT count(*) FROM quota_accounts WHERE held <> 0"
        assert await asyncio.to_thread(database.ask, SERVICE, held) == [(0,)]
    finally:
        await asyncio.to_thread(making.__exit__, None, None, None)


def _look_at(release: Installed, database: SitesDatabase) -> None:
    """Each part has its own database, by TLS; nothing that Kubernetes shows has a password."""
    assert database.ask(HUB, "SELECT name FROM users") == [("maja",)]
    connected = database.ask(
        "postgres",
        "SELECT DISTINCT usename, datname, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE client_addr IS NOT NULL ORDER BY usename",
    )
    assert connected == [(part, part, True) for part in _PARTS]
    plain = f"host={release.cluster.host_address} port={database.port} user={SERVICE} dbname={SERVICE}"
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(f"{plain} sslmode=disable password={database.passwords[SERVICE]}")
    shown = json.dumps([release.objects(kind) for kind in ("pods", "configmaps")])
    for component in ("hub", "service"):
        shown += release.execute(
            component, "sh", "-c", "cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'"
        )
        shown += release.said(component)
    assert "PGPASSFILE" in shown
    assert not [part for part, word in database.passwords.items() if word in shown]
