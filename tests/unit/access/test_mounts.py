"""A session sees exactly the granted areas, under a path that names proposal and day."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from hub.access.decision import decide
from hub.access.mounts import plan_mounts, present
from hub.access.paths import UnsafePathError
from hub.access.policy import AccessPolicy
from hub.catalogue.layout import ESRF_V3, ILL
from hub.catalogue.models import Investigation, Role
from spawners.plan import Mount, MountMode
from tests.support.access import NOW, investigation, member, subject


def planned(what: Investigation, data_root: str = "/storage") -> tuple[Mount, ...]:
    decision = decide(subject(), what, now=NOW, policy=AccessPolicy())
    return plan_mounts(decision, what, layout=ESRF_V3, data_root=PurePosixPath(data_root))


def test_the_team_sees_all_areas_and_raw_data_is_read_only() -> None:
    mounts = planned(investigation(team=(member(Role.PI),)))
    assert {mount.source.name: mount.mode.value for mount in mounts} == {
        "RAW_DATA": "ro",
        "PROCESSED_DATA": "rw",
        "NOBACKUP": "rw",
        "SCRIPTS": "rw",
        "GALLERY": "rw",
        "NOTES": "rw",
    }
    assert mounts[0] == Mount(
        PurePosixPath("/storage/ma5501/id22/20261031/RAW_DATA"),
        PurePosixPath("/data/visitor/ma5501/id22/20261031/RAW_DATA"),
        MountMode.READ_ONLY,
        "you are on the team (principal investigator)",
    )


def test_the_public_sees_raw_data_of_released_visits_only() -> None:
    released = investigation(release_date=NOW.date().replace(year=2025), doi="10.5072/x")
    assert [mount.source.name for mount in planned(released)] == ["RAW_DATA"]
    assert planned(investigation()) == ()


def test_the_layout_decides_the_areas() -> None:
    what = investigation(team=(member(Role.PI),), root=PurePosixPath("data/d22/exp_9-10-1"))
    decision = decide(subject(), what, now=NOW, policy=AccessPolicy())
    mounts = plan_mounts(decision, what, layout=ILL, data_root=PurePosixPath("/s"))
    assert [str(mount.target) for mount in mounts] == [
        "/net4/serdon/illdata/data/d22/exp_9-10-1/rawdata",
        "/net4/serdon/illdata/data/d22/exp_9-10-1/processed",
    ]


@pytest.mark.parametrize("root", ["/etc", "../other", "ma5501/../../x", "a\nb"])
def test_a_root_that_leads_elsewhere_is_refused(root: str) -> None:
    with pytest.raises(UnsafePathError):
        planned(investigation(team=(member(Role.PI),), root=PurePosixPath(root)))


def test_only_folders_that_are_there_and_no_links_are_shown(tmp_path: Path) -> None:
    what = investigation(team=(member(Role.PI),))
    visit = tmp_path / what.root
    (visit / "RAW_DATA").mkdir(parents=True)
    (visit / "PROCESSED_DATA").symlink_to("/etc")
    mounts = present(planned(what, str(tmp_path)), tmp_path)
    assert [mount.source for mount in mounts] == [PurePosixPath(visit / "RAW_DATA")]


def test_a_link_in_place_of_the_proposal_shows_nothing(tmp_path: Path) -> None:
    what = investigation(team=(member(Role.PI),))
    (tmp_path / "other" / "id22" / "20261031" / "RAW_DATA").mkdir(parents=True)
    (tmp_path / "ma5501").symlink_to("other")
    assert present(planned(what, str(tmp_path)), tmp_path) == ()
