"""Where does a site keep the files of a visit? The layouts as data.

A *layout* names the folder of a visit below the site's data root and the *areas* in it, each of
a kind that the access rules know. It parses nothing that a user sent and is no guard: paths are
checked and resolved by `hub.access.paths`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import PurePosixPath


class AreaKind(StrEnum):
    """What an area is for; decides which column of the access table holds for it."""

    RAW = "raw"
    PROCESSED = "processed"
    SCRIPTS = "scripts"
    NOTES = "notes"


@dataclass(frozen=True, slots=True)
class Area:
    """One folder of a visit."""

    name: str
    kind: AreaKind


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of one site.

    ``shown_under`` is where a session sees the data root. ``visit`` is the visit's folder below
    it, with the fields ``proposal``, ``instrument``, ``day`` (YYYYMMDD) and ``cycle``.
    ``folders`` gives the folder of an instrument where that is not its id.
    """

    id: str
    title: str
    shown_under: PurePosixPath
    visit: str
    areas: tuple[Area, ...]
    folders: Mapping[str, str]

    def visit_root(
        self, proposal: str, instrument: str, start: date, *, cycle: str = "data"
    ) -> PurePosixPath:
        """Folder of a visit, relative to the data root."""
        folder = self.folders.get(instrument, instrument)
        return PurePosixPath(
            self.visit.format(proposal=proposal, instrument=folder, day=f"{start:%Y%m%d}", cycle=cycle)
        )

    def area(self, kind: AreaKind) -> Area:
        """First area of a kind.

        Raises
        ------
        KeyError
            If the layout has none.
        """
        for area in self.areas:
            if area.kind is kind:
                return area
        raise KeyError(kind)


ESRF_V3 = Layout(
    id="esrf-v3",
    title="ESRF, since March 2023",
    shown_under=PurePosixPath("/data/visitor"),
    visit="{proposal}/{instrument}/{day}",
    areas=(
        Area("RAW_DATA", AreaKind.RAW),
        Area("PROCESSED_DATA", AreaKind.PROCESSED),
        Area("NOBACKUP", AreaKind.PROCESSED),
        Area("SCRIPTS", AreaKind.SCRIPTS),
        Area("GALLERY", AreaKind.NOTES),
        Area("NOTES", AreaKind.NOTES),
    ),
    folders={"id23-1": "id23eh1", "id23-2": "id23eh2"},
)
"""`/data/visitor/<proposal>/<beamline>/<day>/RAW_DATA` and its like (public package esrf-pathlib)."""

ILL = Layout(
    id="ill",
    title="ILL",
    shown_under=PurePosixPath("/net4/serdon/illdata"),
    visit="{cycle}/{instrument}/exp_{proposal}",
    areas=(
        Area("rawdata", AreaKind.RAW),
        Area("processed", AreaKind.PROCESSED),
    ),
    folders={},
)
"""`<cycle>/<instrument>/exp_<proposal>/rawdata`, from ILL's public reduction scripts."""

LAYOUTS: Mapping[str, Layout] = {layout.id: layout for layout in (ESRF_V3, ILL)}
