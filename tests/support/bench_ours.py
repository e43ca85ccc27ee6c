"""Our platform for the benchmark of launches: all of it, but for sign-in and what a backend starts."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy.orm import Session

from hub.database import Database
from hub.demo.people import PEOPLE
from hub.identity import persons
from hub.identity.claims import Identity
from hub.migrate import upgrade
from tests.support import loopwatch
from tests.support.bench_processes import ROOT
from tests.support.demo_access import PROPOSALS
from tests.support.platform import Platform

ENV = "/usr/bin/env"

_PLENTY = 1_000_000
"""Limit of every allocation: looked at in each launch, and never reached."""


@dataclass(frozen=True, slots=True)
class OurHub:
    """One that runs."""

    api_url: str
    token: str
    hub: psutil.Process
    service: psutil.Process

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the load's calls."""
        return {"Authorization": f"token {self.token}"}


@contextmanager
def our_hub(folder: Path, *, usernames: list[str], target_port: int) -> Iterator[OurHub]:
    """Run proxy, service and hub with these people, and enforced quota for each and for proposals."""
    token, password = secrets.token_hex(16), secrets.token_hex(16)
    platform = Platform(folder, {"quota": _quota()})
    _add_people(platform.settings.database.url, usernames)
    platform.programs.pop("provider")
    hub, service = platform.programs["hub"], platform.programs["service"]
    config = Path(__file__).with_name("bench_our_config.py")
    own = {**hub.environment, "PYTHONPATH": str(ROOT)}
    platform.programs["hub"] = replace(
        hub,
        argv=(hub.argv[0], "-f", str(config)),
        environment={**own, "BENCH_TOKEN": token, "BENCH_PASSWORD": password},
    )
    platform.programs["service"] = replace(
        service,
        argv=(sys.executable, "-m", "tests.support.bench_service", str(target_port)),
        environment={**service.environment, "PYTHONPATH": str(ROOT)},
    )
    unwatch(platform)
    try:
        platform.start()
        yield OurHub(
            platform.settings.hub.api_url,
            token,
            psutil.Process(platform.processes["hub"].pid),
            psutil.Process(platform.processes["service"].pid),
        )
    finally:
        platform.stop()


def unwatch(platform: Platform) -> None:
    """Let the programs start without the tests' watch of event loops, which takes time of its own."""
    for name, program in platform.programs.items():
        bare = (ENV, "-u", loopwatch.VARIABLE, *program.argv)
        platform.programs[name] = replace(program, argv=bare)


def _quota() -> dict[str, object]:
    everyone = [
        {"group": "panhub:users", "resource": resource, "limit": _PLENTY}
        for resource in ("cpu_hours", "sessions")
    ]
    proposals = [{"proposal": name, "resource": "cpu_hours", "limit": _PLENTY} for name in PROPOSALS]
    return {"enforcement": "enforced", "roles": everyone, "proposals": proposals, "persons": []}


def _add_people(url: str, usernames: list[str]) -> None:
    """People who each stand where one of the demo's people stands in the catalogue."""
    upgrade(url)
    now = datetime.now(UTC)

    def add(session: Session) -> None:
        for number, username in enumerate(usernames):
            like = PEOPLE[number % len(PEOPLE)]
            identity = Identity(
                issuer="https://bench.example",
                subject=username,
                username=username,
                display_name=username,
                user_id=like.user_id,
                groups=frozenset({"panhub:users"}),
            )
            persons.record_login(session, identity, now)

    database = Database(url)
    try:
        database.run_now(add)
    finally:
        database.close()
