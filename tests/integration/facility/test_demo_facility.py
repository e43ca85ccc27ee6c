"""The demo facility: its files are what they say, and its people see what they should."""

from __future__ import annotations

import json
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from hub.access.policy import AccessPolicy
from hub.access.service import AccessService
from hub.catalogue.files import FilesCatalogue
from hub.catalogue.layout import ESRF_V3
from hub.demo.facility import DemoDataError, make_facility
from hub.demo.locks import locked
from hub.demo.people import PEOPLE
from hub.identity.models import Person
from hub.launch.models import Input, InputKind
from hub.problems import RequestError
from tests.integration.facility.conftest import PYTHON, MadeFacility

READER = Path(__file__).with_name("read_truth.py")


@pytest.fixture(scope="session")
def catalogue(facility: MadeFacility) -> FilesCatalogue:
    return FilesCatalogue(facility.state / "catalogue")


@pytest.fixture
def service(facility: MadeFacility, catalogue: FilesCatalogue) -> AccessService:
    return AccessService(catalogue, AccessPolicy(), ESRF_V3, facility.data_root)


def path_of(facility: MadeFacility, pid: str) -> Path:
    index = FilesCatalogue(facility.state / "catalogue")._current()
    dataset = index.datasets[pid]  # type: ignore[index]  # a plain string is a pid here
    return facility.data_root / index.investigations[dataset.investigation].root / dataset.path


def truth(facility: MadeFacility, reader: str, pid: str, *arguments: str) -> dict[str, Any]:
    command = [PYTHON, "-W", "ignore", READER, reader, path_of(facility, pid), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    ("pid", "calibrant", "frames"),
    [
        ("ds-ma5501-lab6-series", "LaB6_SRM660c", 20),
        ("ds-ma5501-lab6-short", "LaB6_SRM660c", 4),
        ("ds-hc4802-ceo2-series", "CeO2", 6),
    ],
)
def test_the_rings_lie_where_the_table_says(
    facility: MadeFacility, pid: str, calibrant: str, frames: int
) -> None:
    found = truth(facility, "lines", pid, calibrant)
    assert len(found["offsets"]) >= 8
    assert max(abs(offset) for offset in found["offsets"]) < 0.002
    assert found["frames"] == frames
    assert found["definition"] == "NXsas"
    assert found["units"] == {"distance": "m", "x_pixel_size": "m", "beam_center_x": "pixel"}


def test_the_tomography_scan_turns_around_its_axis(facility: MadeFacility) -> None:
    found = truth(facility, "tomography", "ds-md2210-head")
    assert found["axis"] == pytest.approx(130.35, abs=0.1)
    assert found["keys"] == [361, 10, 10]


def test_the_copper_edge_is_where_copper_has_it(facility: MadeFacility) -> None:
    found = truth(facility, "exafs", "ds-es1107-cu")
    assert found["edge"] == pytest.approx(8979, abs=6)


def test_the_steel_spectrum_peaks_at_iron(facility: MadeFacility) -> None:
    assert truth(facility, "steel", "ds-in1204-steel")["line"] == pytest.approx(6.404, abs=0.03)


def test_the_measured_pattern_keeps_its_q_scale_and_mask(facility: MadeFacility) -> None:
    found = truth(facility, "saxs", "ds-sc6120-iron")
    assert found["q"] == pytest.approx(2.6389e-4, rel=1e-3)
    assert found["masked"] == pytest.approx(56369 / 1096950, abs=1e-4)
    assert "BAM" in found["note"]


def test_files_are_for_owner_and_group_only_and_processed_data_can_be_written(facility: MadeFacility) -> None:
    for path in facility.data_root.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o007 == 0, path
        assert mode & 0o440, path
    [processed] = facility.data_root.glob("ma5501/id22/*/PROCESSED_DATA")
    (processed / "test").write_text("x")
    (processed / "test").unlink()


def test_it_is_small_and_leaves_nothing_half_made(facility: MadeFacility) -> None:
    files = [path for path in facility.state.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 150e6
    assert not list(facility.state.rglob(".*"))


def test_progress_only_grows_and_ends_at_one(facility: MadeFacility) -> None:
    shares = [share for _, share in facility.reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_second_start_changes_nothing(facility: MadeFacility) -> None:
    before = {path: path.stat().st_mtime_ns for path in facility.state.rglob("*") if path.is_file()}
    steps: list[str] = []
    make_facility(facility.state, Path("/nonexistent/python"), lambda text, _share: steps.append(text))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert steps == ["The demo facility is ready"]


def test_two_that_make_one_facility_take_turns(facility: MadeFacility) -> None:
    done = threading.Event()
    with locked(facility.state, "facility"):
        second = threading.Thread(
            target=lambda: make_facility(facility.state, PYTHON, lambda _text, _share: done.set()),
            daemon=True,
        )
        second.start()
        assert not done.wait(0.5)
    assert done.wait(60)
    second.join()


def test_a_file_that_is_lost_is_made_again(facility: MadeFacility) -> None:
    path = path_of(facility, "ds-ev0317-map")
    path.unlink()
    path.with_name(f".{path.name}.part").write_bytes(b"half a file")
    make_facility(facility.state, PYTHON, lambda _text, _share: None)
    assert path.stat().st_size > 100_000
    assert not path.with_name(f".{path.name}.part").exists()


def test_an_environment_without_the_libraries_is_told(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named pyFAI' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(DemoDataError):
        make_facility(tmp_path / "state", python, lambda _text, _share: None)


async def test_every_visit_has_its_data_on_disk(facility: MadeFacility, catalogue: FilesCatalogue) -> None:
    index = catalogue._current()
    assert len(index.by_proposal) >= 6
    assert len({technique for one in index.datasets.values() for technique in one.techniques}) >= 3
    assert len({one.instrument for one in index.investigations.values()}) >= 2
    for dataset in index.datasets.values():
        path = path_of(facility, dataset.pid)
        assert path.stat().st_size == dataset.size_bytes


OPEN = {"sc6120": "open", "ev0317": "open"}
SEES = {
    "maja": {"ma5501": "rw", "md2210": "r", **OPEN},
    "tobi": {"ma5501": "rw", **OPEN},
    "helene": {"ma5501": "rw", "hc4802": "rw", **OPEN},
    "rui": {"hc4802": "rw", "es1107": "r", **OPEN},
    "yuki": {"in1204": "rw", **OPEN},
    "sam": OPEN,
}


@pytest.mark.parametrize("username", SEES)
async def test_each_person_sees_what_their_part_says(
    service: AccessService, catalogue: FilesCatalogue, username: str
) -> None:
    [who] = [one for one in PEOPLE if one.username == username]
    person = Person(1, "https://demo", who.subject, who.username, who.name, user_id=who.user_id)
    listed = {}
    for visible in (await service.visible_investigations(person)).items:
        right = "open" if visible.is_open else visible.decision.processed.value
        listed[visible.investigation.proposal] = right
    assert listed == SEES[username]
    for name, [visit] in catalogue._current().by_proposal.items():
        wanted = (Input(kind=InputKind.INVESTIGATION, ref=visit.id),)
        if name in listed:
            assert (await service.grants_for(person, wanted)).mounts
        else:
            with pytest.raises(RequestError):
                await service.grants_for(person, wanted)
