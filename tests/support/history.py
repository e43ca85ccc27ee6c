"""A past for a person of a test's platform: sessions of earlier days, booked as those of today are.

Pages of somebody who works here for weeks look otherwise than those of a first visit. The summaries
are the service's own dry runs; rows and ledger are written by the store's and the ledger's own
code, only with earlier times.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session as DatabaseSession

from hub.database import make_engine
from hub.identity.persons import by_username
from hub.launch import store
from hub.launch.ends import sentence, usage_json
from hub.launch.ledgering import holder_of
from hub.launch.news import utcnow
from hub.launch.states import EndReason, LaunchState
from quota.ledger import Ledger
from quota.models import AccountKind, AccountRef, HoldLine, Resource
from quota.policy import Policy
from spawners.backend import EndCause, Usage
from spawners.plan import LaunchId
from tests.support.platform import Platform, Visitor


@dataclass(frozen=True, slots=True)
class PastSession:
    """A session that ran ``hours`` of the time it was given, on a day before today."""

    days_ago: int
    at_hour: int
    dataset: str
    size: str
    hours: float
    end: EndReason = EndReason.STOPPED_BY_USER


PAST = (
    PastSession(26, 9, "ds-ma5501-lab6-short", "small", 1.5),
    PastSession(25, 13, "ds-ma5501-lab6-series", "medium", 3.7),
    PastSession(22, 8, "ds-sc6120-iron", "small", 2.2),
    PastSession(19, 14, "ds-ma5501-lab6-series", "medium", 4.0, EndReason.TIME_LIMIT),
    PastSession(18, 9, "ds-ma5501-lab6-series", "medium", 2.9),
    PastSession(15, 10, "ds-sc6120-iron", "small", 3.1),
    PastSession(12, 7, "ds-ma5501-lab6-short", "medium", 1.2),
    PastSession(11, 12, "ds-sc6120-sans", "small", 2.6),
    PastSession(8, 9, "ds-ma5501-lab6-series", "medium", 3.4),
    PastSession(6, 15, "ds-sc6120-iron", "medium", 1.9),
    PastSession(5, 8, "ds-ma5501-lab6-series", "medium", 0.7, EndReason.OUT_OF_MEMORY),
    PastSession(4, 13, "ds-ma5501-lab6-series", "medium", 3.8),
    PastSession(2, 9, "ds-sc6120-sans", "small", 1.4),
    PastSession(1, 14, "ds-ma5501-lab6-short", "small", 0.9),
)
"""Some weeks of work, oldest first: the ledger's windows go forward only."""


def give_past(platform: Platform, visitor: Visitor, past: Sequence[PastSession] = PAST) -> None:
    """Let a person have had these sessions."""
    summaries = {one: _dry_run(visitor, one) for one in past}
    engine = make_engine(platform.settings.database.url)
    try:
        for one in past:
            with DatabaseSession(engine) as session, session.begin():
                _book(session, Ledger(Policy(platform.settings.quota)), visitor.username, one, summaries[one])
    finally:
        engine.dispose()


def _dry_run(visitor: Visitor, one: PastSession) -> dict[str, Any]:
    reply = visitor.api("POST", "/launches", json={**_request(one), "dry_run": True})
    assert reply.status_code == 200, reply.text
    summary: dict[str, Any] = reply.json()["summary"]
    return summary


def _request(one: PastSession) -> dict[str, Any]:
    return {
        "inputs": [{"kind": "dataset", "ref": one.dataset}],
        "template": "auto",
        "size": one.size,
        "walltime_s": 4 * 3600,
    }


def _lines(summary: dict[str, Any]) -> Iterator[HoldLine]:
    for hold in summary["holds"]:
        account = AccountRef(AccountKind(hold["account_kind"]), hold["account"])
        yield HoldLine(account, Resource(hold["resource"]), hold["amount"])


def _book(
    session: DatabaseSession, ledger: Ledger, username: str, one: PastSession, summary: dict[str, Any]
) -> None:
    person = by_username(session, username)
    assert person is not None
    started = _when(one)
    seconds = int(one.hours * 3600)
    ended = started + timedelta(seconds=seconds)
    launch_id = LaunchId(secrets.token_hex(8))
    proposal = summary["data"][0]["proposal"]
    lines = tuple(_lines(summary))
    store.insert(
        session,
        id=launch_id,
        person_id=person.id,
        username=username,
        server_name=f"s-{launch_id[:12]}",
        display_name=f"{summary['template']['title']}, {summary['data'][0]['title']}",
        origin="form",
        request=_request(one),
        summary=summary,
        proposal=proposal,
        place=summary["place"]["id"],
        state=LaunchState.ENDED,
        created_at=started,
        running_at=started,
        ended_at=ended,
        end_reason=one.end,
        end_message=sentence(one.end),
        usage=usage_json(
            Usage(
                started_at=started,
                ended_at=ended,
                elapsed_seconds=seconds,
                cpus=summary["cpus"],
                memory_mib=summary["memory_mib"],
                gpus=summary["gpus"],
                cause=EndCause.STOPPED,
            )
        ),
        hub_cleaned=True,
    )
    ledger.hold(session, launch_id, lines, holder=holder_of(person), now=started, proposal=proposal)
    used = {Resource.CPU_SECONDS: seconds * summary["cpus"]}
    ledger.settle(session, launch_id, used, now=ended, started_at=started, ended_at=ended)


def _when(one: PastSession) -> datetime:
    midnight = utcnow().replace(hour=0, minute=0, second=0, microsecond=0)
    return (
        midnight - timedelta(days=one.days_ago) + timedelta(hours=one.at_hour, minutes=7 * one.days_ago % 60)
    )
