"""How long does a decision with its mount plan take among 100,000 proposals, and what does it cost?

Ours: look-up, access table and mount plan, as every launch and every refresh of a session asks
it. Beside it a baseline made here, since no notebook service ships one: rules as a list of
conditions that are tried on every investigation (the manner of ICAT's rule examples, without its
database), interleaved on the same questions. Both answer the same: the bench fails if not.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import psutil

from hub.access.decision import decide
from hub.access.mounts import plan_mounts
from hub.access.policy import AccessPolicy
from hub.access.rights import Subject
from hub.access.service import AccessService
from hub.catalogue.files import FilesCatalogue
from hub.catalogue.layout import ESRF_V3
from hub.catalogue.models import Investigation, InvestigationId
from hub.identity.models import Person
from hub.launch.models import Input, InputKind
from tests.bench.harness import Row

NAME = "access"

PROPOSALS = 100_000
PEOPLE = 20_000
INSTRUMENTS = 40
QUESTIONS = 20_000
PEER_QUESTIONS = 40
"""The scan takes a thousand times as long; its spread is small."""

STORED = 200
"""Visits that have folders on disk, for the time with the storage looked at."""

GOAL_MS = 1.0
PEER = "scan of a rule list"
TODAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

Question = tuple[str, InvestigationId]


def run() -> list[Row]:
    """Make the catalogue, measure, compare."""
    with tempfile.TemporaryDirectory(prefix="bench-access-") as folder:
        return asyncio.run(_run(Path(folder)))


async def _run(folder: Path) -> list[Row]:
    _write_catalogue(folder / "catalogue")
    memory_before = _rss_mib()
    began = time.perf_counter()
    catalogue = await asyncio.to_thread(FilesCatalogue, folder / "catalogue", today=lambda: TODAY)
    load_s = time.perf_counter() - began
    gc.collect()
    memory_mib = _rss_mib() - memory_before
    questions = list(_questions(QUESTIONS))
    ours, peer = await _decisions(catalogue, questions)
    listing = await _listings(catalogue, folder / "data", [user for user, _ in questions[:300]])
    stored = await _with_storage(catalogue, folder / "data")
    p99 = _percentile(ours, 99)
    return [
        _row("decision and mount plan, p50", "ms", _percentile(ours, 50), peer=_percentile(peer, 50)),
        _row("decision and mount plan, p99", "ms", p99, peer=_percentile(peer, 99), goal=GOAL_MS),
        _row("the same, storage looked at, p99", "ms", _percentile(stored, 99)),
        _row("first page of visible data, p99", "ms", _percentile(listing, 99)),
        _row(f"load {PROPOSALS:,} proposals", "s", load_s),
        _row(f"memory of {PROPOSALS:,} proposals", "MiB", memory_mib),
    ]


def _row(
    measure: str, unit: str, ours: float, *, peer: float | None = None, goal: float | None = None
) -> Row:
    return Row(
        measure=measure,
        unit=unit,
        ours=ours,
        peer=PEER if peer is not None else None,
        peer_value=peer,
        ratio=ours / peer if peer else None,
        goal=f"≤ {goal:g}" if goal is not None else None,
        met=ours <= goal if goal is not None else None,
    )


async def _decisions(
    catalogue: FilesCatalogue, questions: Sequence[Question]
) -> tuple[list[float], list[float]]:
    """Times of ours and of the peer [ms], interleaved."""
    policy, everything = AccessPolicy(), await _everything(catalogue)
    ours: list[float] = []
    peer: list[float] = []
    step = len(questions) // PEER_QUESTIONS
    for number, (user_id, ref) in enumerate(questions):
        began = time.perf_counter()
        answer = await _ask(catalogue, policy, user_id, ref)
        ours.append((time.perf_counter() - began) * 1e3)
        if number % step == 0:
            began = time.perf_counter()
            scanned = ref in _scan(everything, user_id)
            peer.append((time.perf_counter() - began) * 1e3)
            assert scanned == answer, f"{user_id} {ref}: {scanned} by the scan, {answer} by the table"
    return ours, peer


async def _ask(catalogue: FilesCatalogue, policy: AccessPolicy, user_id: str, ref: InvestigationId) -> bool:
    instruments = await catalogue.instruments_of(user_id)
    subject = Subject(user_id, scientist_of=frozenset(one.id for one in instruments))
    investigation = await catalogue.investigation(ref)
    assert investigation is not None
    decision = decide(subject, investigation, now=NOW, policy=policy)
    mounts = plan_mounts(decision, investigation, layout=ESRF_V3, data_root=PurePosixPath("/data"))
    return bool(mounts)


RULES: Sequence[Callable[[Investigation, str, frozenset[str]], bool]] = (
    lambda one, user_id, _: any(member.user_id == user_id for member in one.team),
    lambda one, user_id, _: any(given.user_id == user_id and given.expires >= TODAY for given in one.grants),
    lambda one, _, instruments: not one.is_proprietary and one.instrument in instruments,
    lambda one, _user, _: (
        not one.is_proprietary
        and one.release_date is not None
        and one.release_date < TODAY
        and (one.doi is not None or one.is_published)
    ),
)
"""The peer: conditions under which a person reads an investigation, tried in order on each."""


def _scan(everything: Sequence[Investigation], user_id: str) -> set[InvestigationId]:
    instruments = frozenset(f"id{n:02}" for n in range(INSTRUMENTS) if _scientist(n) == user_id)
    return {one.id for one in everything if any(rule(one, user_id, instruments) for rule in RULES)}


async def _everything(catalogue: FilesCatalogue) -> Sequence[Investigation]:
    return [
        one for number in range(INSTRUMENTS) for one in await catalogue.investigations_on(f"id{number:02}")
    ]


async def _listings(catalogue: FilesCatalogue, data_root: Path, users: Sequence[str]) -> list[float]:
    service = _service(catalogue, data_root)
    times = []
    for user_id in users:
        began = time.perf_counter()
        await service.visible_investigations(_person(user_id))
        times.append((time.perf_counter() - began) * 1e3)
    return times


async def _with_storage(catalogue: FilesCatalogue, data_root: Path) -> list[float]:
    """Times of `grants_for` for team members of visits that have folders [ms]."""
    service = _service(catalogue, data_root)
    times = []
    for number in range(STORED):
        investigation = await catalogue.investigation(InvestigationId(_visit_id(number)))
        assert investigation is not None
        for area in ESRF_V3.areas:
            (data_root / investigation.root / area.name).mkdir(parents=True)
        person = _person(investigation.team[0].user_id)
        inputs = (Input(kind=InputKind.INVESTIGATION, ref=investigation.id),)
        for _ in range(10):
            began = time.perf_counter()
            result = await service.grants_for(person, inputs)
            times.append((time.perf_counter() - began) * 1e3)
            assert result.mounts
    return times


def _service(catalogue: FilesCatalogue, data_root: Path) -> AccessService:
    return AccessService(catalogue, AccessPolicy(), ESRF_V3, data_root, now=lambda: NOW)


def _person(user_id: str) -> Person:
    return Person(1, "https://bench", user_id, "bench", "Bench", user_id=user_id)


def _questions(count: int) -> Iterator[Question]:
    """Half of them about one's own visit, half about any."""
    source = random.Random(2)
    for _ in range(count):
        number = source.randrange(PROPOSALS)
        user_id = _team(number)[0] if source.random() < 0.5 else str(source.randrange(PEOPLE))
        yield user_id, InvestigationId(_visit_id(number))


def _write_catalogue(folder: Path, *, per_file: int = 1000) -> None:
    (folder / "proposals").mkdir(parents=True)
    facility = {"name": "Bench", "roles": {"PI": "pi", "Member": "participant"}}
    instruments = [
        {"id": f"id{n:02}", "title": f"Instrument {n}", "scientists": [_scientist(n)]}
        for n in range(INSTRUMENTS)
    ]
    (folder / "facility.yaml").write_text(json.dumps(facility))
    (folder / "instruments.yaml").write_text(json.dumps({"instruments": instruments}))
    for first in range(0, PROPOSALS, per_file):
        entries = [_proposal(number) for number in range(first, first + per_file)]
        (folder / "proposals" / f"{first:06}.json").write_text(json.dumps({"proposals": entries}))


def _proposal(number: int) -> dict[str, Any]:
    start = datetime(2016, 1, 1, 8, tzinfo=UTC) + timedelta(hours=number * 24 * 365 * 10 // PROPOSALS)
    instrument = f"id{number % INSTRUMENTS:02}"
    return {
        "name": f"p{number:06}",
        "title": f"Study {number} of sample {number % 997}",
        "is_proprietary": number % 10 == 3,
        "team": [
            {"user_id": user_id, "role": "PI" if n == 0 else "Member", "name": f"Person {user_id}"}
            for n, user_id in enumerate(_team(number))
        ],
        "grants": [_grant(number)] if number % 20 == 0 else [],
        "investigations": [
            {
                "id": _visit_id(number),
                "instrument": instrument,
                "start": start.isoformat(),
                "end": (start + timedelta(days=3)).isoformat(),
                "root": f"p{number:06}/{instrument}/{start:%Y%m%d}",
                "doi": f"10.5072/bench/{number}" if number % 2 else None,
                "datasets": [_dataset(number, n, start) for n in range(2)],
            }
        ],
    }


def _dataset(number: int, n: int, start: datetime) -> dict[str, Any]:
    return {
        "pid": f"ds-{number}-{n}",
        "name": f"Scan {n}",
        "path": f"RAW_DATA/s/s_{n}/s_{n}.h5",
        "created": start.isoformat(),
        "techniques": ["PaNET01101"],
    }


def _grant(number: int) -> dict[str, Any]:
    expires = TODAY + timedelta(days=number % 60 - 30)
    return {
        "user_id": str((number * 13) % PEOPLE),
        "expires": expires.isoformat(),
        "given_by": "PI",
        "reason": "reviewer",
    }


def _team(number: int) -> list[str]:
    return [str((number * 7 + n * 1009) % PEOPLE) for n in range(5)]


def _scientist(instrument: int) -> str:
    return str(instrument * 11)


def _visit_id(number: int) -> str:
    return f"p{number:06}-1"


def _percentile(times: Sequence[float], percent: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


def _rss_mib() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20
