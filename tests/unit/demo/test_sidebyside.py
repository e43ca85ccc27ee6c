"""The demo with Slurm and Kubernetes at once: one environment in both forms, places of both in a profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.cli import _site, parser
from hub.demo.install import ROOT
from hub.demo.sidebyside import PAYER, SideBySideSite
from hub.demo.slurm.people import SITE
from profiles.loader import Profiles, load_profiles
from profiles.places import KubernetesPlace, SlurmPlace


@pytest.fixture
def profiles(tmp_path: Path) -> Profiles:
    for name in ("pan-core.lock", "pan-desktop.lock"):
        (tmp_path / name).write_text("numpy==2.0.0\n")
    return load_profiles(ROOT / "profiles/site/demo-both.yaml", environments_root=tmp_path)


def test_each_profile_begins_with_slurm_and_has_pods_that_the_facility_pays_for(profiles: Profiles) -> None:
    for profile in profiles.profiles.values():
        first, *others = (profiles.places[name] for name in profile.places)
        assert isinstance(first, SlurmPlace)
        assert others
        for place in others:
            assert isinstance(place, KubernetesPlace)
            assert place.payers == (f"facility:{PAYER}",)


def test_the_place_far_from_the_data_has_the_homes_of_the_accounts(profiles: Profiles) -> None:
    assert profiles.places["remote"].storage == (str(SITE / "homes"),)


def test_both_sides_have_the_same_homes_and_data(tmp_path: Path) -> None:
    site = _site(parser().parse_args(["demo", "--slurm", "--kubernetes"]), tmp_path)
    assert isinstance(site, SideBySideSite)
    assert site.kubernetes.storage.folders == {"data": tmp_path / "data/visitor", "homes": SITE / "homes"}
    site.has_desktops = True
    assert (site.slurm.has_desktops, site.kubernetes.has_desktops) == (True, True)
