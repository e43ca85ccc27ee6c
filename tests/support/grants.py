"""What a person may read, as the launch path and the form are given it; no catalogue behind."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath

from hub.access.rights import Decision, Visibility
from hub.access.service import AccessResult, GrantedDataset
from hub.catalogue.models import (
    DataKind,
    Dataset,
    DatasetPid,
    Investigation,
    InvestigationId,
    ProposalName,
)
from spawners.plan import Mount, MountMode

DAY = datetime(2026, 11, 3, tzinfo=UTC)


def visit(proposal: str, title: str = "A visit") -> Investigation:
    """A visit of a proposal."""
    return Investigation(
        id=InvestigationId(f"{proposal}-1"),
        proposal=ProposalName(proposal),
        title=title,
        instrument="id22",
        start=DAY,
        end=DAY,
        root=PurePosixPath(f"visitor/{proposal}/id22/20261103"),
    )


def decision(investigation: Investigation) -> Decision:
    """Any decision."""
    return Decision(investigation.id, row=1, metadata=Visibility.FULL)


def granted(*proposals: str, sets: tuple[str, ...] = (), root: str = "/data") -> AccessResult:
    """Raw and processed data of some visits; of those in ``sets`` a data set was named."""
    visits = [visit(name, f"Visit of {name}") for name in proposals]
    mounts = tuple(
        Mount(
            PurePosixPath(root) / one.root / area,
            PurePosixPath("/data") / one.root / area,
            MountMode.READ_ONLY,
            "team",
        )
        for one in visits
        for area in ("RAW_DATA", "PROCESSED_DATA")
    )
    named = tuple(
        GrantedDataset(
            Dataset(
                pid=DatasetPid(f"{one.proposal}/lab6"),
                name="LaB6 series",
                investigation=one.id,
                kind=DataKind.RAW,
                path=PurePosixPath("RAW_DATA/lab6"),
                created=DAY,
            ),
            one,
            decision(one),
            source=PurePosixPath(root) / one.root / "RAW_DATA/lab6",
            target=PurePosixPath("/data") / one.root / "RAW_DATA/lab6",
        )
        for one in visits
        if one.proposal in sets
    )
    return AccessResult(mounts, tuple(map(decision, visits)), named, tuple(visits))
