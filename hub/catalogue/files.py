"""The catalogue that needs nothing but files: proposals, teams and data sets from YAML.

Files are read and checked in a thread; a watcher looks for changed files every few seconds and
puts the new content in place as a whole. Questions are answered from memory. While changed
files do not pass the checks, the last good content answers for a short while, then nothing does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from hub.catalogue.base import CatalogueError, Page
from hub.catalogue.index import DuplicateError, Index
from hub.catalogue.models import (
    Dataset,
    DatasetPid,
    Instrument,
    Investigation,
    InvestigationId,
    ProposalName,
)
from hub.catalogue.schema import FacilityFile, InstrumentsFile, ProposalEntry, ProposalsFile

log = logging.getLogger(__name__)

_EVERY_S = 5.0
"""How often changed files are looked for: a new team member waits no longer than that."""

_GRACE_S = 900.0
"""How long the last good content answers while the files are broken: time to mend a typing error."""

_M = TypeVar("_M", bound=BaseModel)

Signature = Mapping[Path, tuple[int, int]]
"""Modification time [ns] and size [bytes] of every file read."""


class CatalogueFileError(Exception):
    """A file of the catalogue is not valid; the text names file, key and cause."""


class FilesCatalogue:
    """`hub.catalogue.base.Catalogue` over a folder of YAML (or JSON) files.

    Parameters
    ----------
    folder
        Folder with ``facility.yaml``, ``instruments.yaml`` and ``proposals/``.
    today
        Gives the current UTC date.
    grace_s
        How long the last good content answers while the files are not valid [s].

    Raises
    ------
    CatalogueFileError
        If a file is missing or not valid. Reading takes a while: make it with `open`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        grace_s: float = _GRACE_S,
    ) -> None:
        self.folder = folder
        self._today = today
        self._grace_s = grace_s
        self._broken_since: float | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._signature = _signature(folder)
        self._index = load(folder)

    @classmethod
    async def open(cls, folder: Path, *, every_s: float = _EVERY_S) -> Self:
        """Read the files in a thread and look for changes every ``every_s`` seconds."""
        catalogue = await asyncio.to_thread(cls, folder)
        catalogue.start(every_s=every_s)
        return catalogue

    def start(self, *, every_s: float = _EVERY_S) -> None:
        """Look for changed files every ``every_s`` seconds, on the running event loop, until `aclose`."""
        self._watcher = asyncio.create_task(self._watch(every_s), name="catalogue watcher")

    async def aclose(self) -> None:
        """End the watcher."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None

    @property
    def facility(self) -> str:
        """Name of the facility."""
        return self._index.facility.name

    @property
    def layout(self) -> str:
        """Id of the site's data layout."""
        return self._index.facility.layout

    async def _watch(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> bool:
        """Read the files again if any has changed; whether new content is in place. Never raises."""
        try:
            signature = _signature(self.folder)
            if signature == self._signature and self._broken_since is None:
                return False
            index = load(self.folder)
        except Exception as error:
            # Whatever it is (half-written file, folder not mounted): what was read last holds on.
            if self._broken_since is None:
                self._broken_since = time.monotonic()
                log.warning("The catalogue's files are not valid, the last good content is used: %s", error)
            return False
        self._index, self._signature, self._broken_since = index, signature, None
        log.info("Catalogue read: %d investigations", len(index.investigations))
        return True

    def _current(self) -> Index:
        broken = self._broken_since
        if broken is not None and time.monotonic() - broken > self._grace_s:
            raise CatalogueError("the catalogue's files have not been valid for too long")
        return self._index

    async def investigations_for(self, user_id: str) -> Sequence[Investigation]:
        """Investigations this facility user id is on the team of, or was granted, newest first."""
        return self._current().by_user.get(user_id, ())

    async def investigations_on(self, instrument: str) -> Sequence[Investigation]:
        """Investigations on one instrument, newest first."""
        return self._current().by_instrument.get(instrument, ())

    async def released(self, *, text: str = "", limit: int = 50, offset: int = 0) -> Page[Investigation]:
        """Investigations with a release date in the past, newest first, matching ``text``."""
        index, today = self._current(), self._today()
        # One letter may begin a hundred thousand words: not for the event loop.
        return await asyncio.to_thread(index.released, today, text=text, limit=limit, offset=offset)

    async def investigation(self, ref: InvestigationId) -> Investigation | None:
        """One investigation by id."""
        return self._current().investigations.get(ref)

    async def proposal(self, name: ProposalName) -> Sequence[Investigation]:
        """All investigations of one proposal, newest first."""
        return self._current().by_proposal.get(name, ())

    async def instrument(self, ref: str) -> Instrument | None:
        """One instrument."""
        return self._current().instruments.get(ref)

    async def instruments_of(self, user_id: str) -> Sequence[Instrument]:
        """Instruments this facility user id is a scientist of."""
        return self._current().instruments_of.get(user_id, ())

    async def datasets(
        self, ref: InvestigationId, *, text: str = "", limit: int = 50, offset: int = 0
    ) -> Page[Dataset]:
        """Data sets of an investigation, newest first, matching ``text``."""
        index = self._current()
        return await asyncio.to_thread(index.datasets_of, ref, text=text, limit=limit, offset=offset)

    async def dataset(self, pid: DatasetPid) -> Dataset | None:
        """One data set by its pid."""
        return self._current().datasets.get(pid)

    async def resolve(self, identifier: str) -> Dataset | Investigation | None:
        """What a DOI, pid, investigation id or proposal name stands for."""
        return self._current().resolve(identifier)


def load(folder: Path) -> Index:
    """Read and check a whole catalogue.

    Raises
    ------
    CatalogueFileError
        Names the file, the key in it and the cause.
    """
    facility = _read(folder / "facility.yaml", FacilityFile)
    instruments = _read(folder / "instruments.yaml", InstrumentsFile)
    # The collector would look again and again at millions of objects that all stay.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return Index(facility, instruments.instruments, _proposals(folder))
    except DuplicateError as error:
        raise CatalogueFileError(f"{folder}: {error}") from error
    finally:
        if was_enabled:
            gc.enable()


def _proposals(folder: Path) -> Iterator[ProposalEntry]:
    for path in _proposal_files(folder):
        yield from _read(path, ProposalsFile).proposals


def _proposal_files(folder: Path) -> Sequence[Path]:
    # A name that begins with a dot is a file being written (rename puts it in place).
    found = (folder / "proposals").glob("*")
    return sorted(path for path in found if path.suffix in {".yaml", ".json"} and path.name[0] != ".")


def _read(path: Path, model: type[_M]) -> _M:
    try:
        return model.model_validate(_parse(path))
    except OSError as error:
        raise CatalogueFileError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise CatalogueFileError(f"{path}: {_explain(error)}") from error


def _parse(path: Path) -> Any:
    content = path.read_bytes()
    if path.suffix == ".json":
        return json.loads(content)
    return yaml.load(content, Loader=yaml.CSafeLoader)  # the safe loader, in C


def _explain(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first, *others = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    more = f" (and {len(others)} more)" if others else ""
    return f"{key}: {first['msg']}, not {str(first['input'])[:80]!r}{more}"


def _signature(folder: Path) -> Signature:
    try:
        paths = (folder / "facility.yaml", folder / "instruments.yaml", *_proposal_files(folder))
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}
    except OSError as error:
        raise CatalogueFileError(f"{error.filename}: {error.strerror}") from error
