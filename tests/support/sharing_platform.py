"""A platform with sharing whose tunnel is played by the test."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

import httpx
import yaml
from sqlalchemy import create_engine, text

from hub.settings import load_settings
from tests.support.platform import Platform

STATION = "ws-id22-control"


def with_sharing(platform: Platform) -> None:
    """Add the section of desktops, with its secrets, to a platform that was not started yet."""
    folder = platform.state / "secrets"
    for name in ("desktop", "desktop-token"):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(secrets.token_hex(32))
    raw = yaml.safe_load(platform.config.read_text())
    raw["desktop"] = {
        "port": platform.ports.desktop,
        "secret_file": str(folder / "desktop"),
        "service_token_file": str(folder / "desktop-token"),
        "key_file": str(folder / "desktop-key.pem"),
        "workstations": {
            "id22-control": {
                "title": "ID22 control",
                "instrument": "id22",
                "protocol": "vnc",
                "host": "127.0.0.1",
                "port": 5900,
            }
        },
    }
    platform.config.write_text(yaml.safe_dump(raw))
    platform.settings = load_settings(platform.config)


@dataclass(frozen=True)
class Tunnel:
    """What the tunnel's process says to the service."""

    platform: Platform

    def call(self, method: str, path: str, *, secret: str | None = None, **kwargs: Any) -> httpx.Response:
        """A call with the tunnel's secret."""
        own = (self.platform.state / "secrets" / "desktop").read_text()
        headers = {"Authorization": f"Bearer {own if secret is None else secret}"}
        url = f"{self.platform.settings.service.url}/internal/desktop{path}"
        return httpx.request(method, url, headers=headers, timeout=40, **kwargs)

    def redeem(self, ticket: str, username: str) -> httpx.Response:
        """Bring a ticket."""
        return self.call("POST", "/redeem", json={"ticket": ticket, "username": username})

    def report(self, *connections: str) -> dict[str, Any]:
        """Report connections; decisions by connection."""
        body = {"tunnel": "a" * 16, "connections": [{"connection": one} for one in connections]}
        reply = self.call("POST", "/report", json=body)
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer


def give_picture(platform: Platform, launch_id: str) -> None:
    """Let the service take a session for one with a desktop; what runs in it is not looked at here."""
    engine = create_engine(platform.settings.database.url)
    try:
        with engine.begin() as connection:
            query = text("SELECT plan FROM launches WHERE id = :id")
            plan = json.loads(connection.execute(query, {"id": launch_id}).scalar_one())
            plan["interface"] = "desktop"
            change = text("UPDATE launches SET plan = :plan WHERE id = :id")
            connection.execute(change, {"id": launch_id, "plan": json.dumps(plan)})
    finally:
        engine.dispose()
