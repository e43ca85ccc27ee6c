"""What a person may pick, and what their wishes come to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.choose import Custom, Wishes, choose, offers
from profiles.gates import Subject, is_allowed, why_not
from profiles.loader import load_profiles
from profiles.models import Rule
from profiles.wishes import (
    ChoiceError,
    CustomSizeError,
    GpuTypeWithoutGpusError,
    NoProfileError,
    SchedulingError,
    TwoSizesError,
    UnknownGpuTypeError,
    UnknownPlaceError,
    UnknownProfileError,
    UnknownSizeError,
    WalltimeError,
)
from spawners.plan import Scheduling, Size

ROOT = Path(__file__).parents[3]
PROFILES = load_profiles(ROOT / "profiles/site/demo.yaml", environments_root=ROOT)

RUI = Subject("rui", groups=frozenset({"panhub:users"}))
SAM = Subject("sam", roles=frozenset({"operator"}))
HELENE = Subject("helene", instruments=frozenset({"id22"}))


def chosen(subject, profile=None, size=None, walltime=None):
    return choose(PROFILES, subject, Wishes(profile, size, walltime=walltime))


def test_nothing_asked_gives_the_sites_defaults():
    choice = chosen(RUI)
    assert (choice.profile, choice.size.id, choice.walltime) == ("lab", "small", timedelta(hours=2))


def test_an_unknown_profile_and_one_that_is_not_yours_read_alike():
    with pytest.raises(UnknownProfileError) as closed:
        chosen(RUI, "lab-staff")
    with pytest.raises(UnknownProfileError) as unknown:
        chosen(RUI, "no-such")
    assert str(closed.value).replace("lab-staff", "X") == str(unknown.value).replace("no-such", "X")


@pytest.mark.parametrize("subject", [SAM, HELENE, Subject("x", groups=frozenset({"Staff:Computing"}))])
def test_each_kind_of_rule_lets_its_people_in(subject):
    assert chosen(subject, "lab-staff").size.id == "medium"


def test_a_size_of_another_profile_is_refused():
    with pytest.raises(UnknownSizeError, match="small, medium"):
        chosen(RUI, "lab", "large")
    assert chosen(SAM, "lab-staff", "large").size.memory_mib == 8192


@pytest.mark.parametrize(
    ("walltime", "is_fine"),
    [
        (timedelta(minutes=1), True),
        (timedelta(hours=8), True),
        (timedelta(hours=8, seconds=1), False),
        (timedelta(seconds=59), False),
        (timedelta(0), False),
        (timedelta(days=-1), False),
        (timedelta(days=99), False),
    ],
)
def test_the_time_asked_is_held_to_the_profiles_limit(walltime, is_fine):
    if is_fine:
        assert chosen(RUI, walltime=walltime).walltime == walltime
    else:
        with pytest.raises(WalltimeError, match="8 h") as caught:
            chosen(RUI, walltime=walltime)
        assert caught.value.limit == timedelta(hours=8)


def test_nobody_is_given_a_profile_when_none_is_open(tmp_path):
    text = (ROOT / "profiles/site/demo.yaml").read_text().replace("allow: everyone", "allow: {users: [maja]}")
    path = tmp_path / "profiles.yaml"
    path.write_text(text)
    profiles = load_profiles(path, environments_root=ROOT)
    with pytest.raises(NoProfileError):
        choose(profiles, RUI, Wishes())
    assert choose(profiles, Subject("maja"), Wishes()).profile == "lab"
    assert choose(profiles, SAM, Wishes()).profile == "lab-staff"


def test_offers_list_what_is_open_first_and_say_why_the_rest_is_not():
    first, *_, last = offers(PROFILES, RUI)
    assert (first.profile, first.is_allowed, first.is_default) == ("lab", True, True)
    assert (last.profile, last.is_allowed) == ("lab-staff", False)
    assert last.why_not is not None
    assert "staff with the role operator" in last.why_not
    assert all(offer.is_allowed for offer in offers(PROFILES, SAM))


def test_the_reason_never_names_a_person():
    text = why_not(Rule(users=("maja",), groups=("a", "b")), RUI)
    assert text == "Only for members of the groups a or b or people named by the facility."


def test_an_empty_subject_matches_no_rule():
    rule = Rule(groups=("a",), roles=("b",), instruments=("c",), users=("d",))
    assert not is_allowed(rule, Subject(""))


SLURM = """\
environments:
  core: {{title: Core, prefix: /opt/core, lock_sha256: {sha}, architectures: [x86_64, ppc64le]}}
sizes:
  small: {{title: Small, cpus: 1, memory_mib: 2048}}
places:
  cpu: {{title: CPU, backend: slurm, cluster: pan, partition: cpu, description: Many cores.}}
  power: {{title: Power, backend: slurm, cluster: pan, partition: p9, architecture: ppc64le}}
  arm: {{title: Arm, backend: slurm, cluster: pan, partition: arm, architecture: aarch64}}
  torque: {{title: Torque, backend: batchspawner, cluster: torque, queue: long}}
profiles:
  plain:
    title: Plain
    interfaces: [lab]
    environment: core
    places: [arm, power, cpu, torque]
    sizes: [small]
    default_size: small
    walltime: {{default: 2 h, max: 8 h}}
    allow: everyone
  own:
    title: Own
    interfaces: [lab]
    environment: core
    places: [cpu]
    sizes: [small]
    default_size: small
    custom: {{cpus: 64, memory_mib: 262144, gpus: 2, gpu_types: [a100, h100]}}
    scheduling: true
    walltime: {{default: 2 h, max: 8 h}}
    allow: everyone
default_profile: plain
""".format(sha="ab" * 32)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    path = tmp_path_factory.mktemp("profiles") / "profiles.yaml"
    path.write_text(SLURM)
    return load_profiles(path)


@pytest.mark.parametrize(
    ("place", "candidates", "is_soonest"),
    [
        (None, ["power", "cpu", "torque"], False),
        ("cpu", ["cpu"], False),
        ("soonest", ["power", "cpu", "torque"], True),
    ],
)
def test_a_wish_for_a_place_comes_to_candidates_in_the_profiles_order(cluster, place, candidates, is_soonest):
    choice = choose(cluster, RUI, Wishes("plain", place=place))
    assert [one.id for one in choice.places] == candidates
    assert choice.is_soonest is is_soonest


def test_a_launch_that_allows_overflow_has_the_place_it_asks_for_first(cluster):
    choice = choose(cluster, RUI, Wishes("plain", place="cpu", overflow=True))
    assert [one.id for one in choice.places] == ["cpu", "power", "torque"]
    assert choice.overflow_after == timedelta(minutes=10)
    assert choose(cluster, RUI, Wishes("plain", overflow=True)).places[0].id == "power"
    assert choose(cluster, RUI, Wishes("plain", place="soonest", overflow=True)).overflow_after is None
    assert choose(cluster, RUI, Wishes("plain", place="cpu")).overflow_after is None


def test_a_place_is_offered_with_its_kind_and_what_people_read(cluster):
    plain, own = offers(cluster, RUI)
    assert [(one.id, one.kind, one.architecture) for one in plain.places] == [
        ("power", "slurm", "ppc64le"),
        ("cpu", "slurm", "x86_64"),
        ("torque", "batchspawner", "x86_64"),
    ]
    assert plain.places[1].description == "Many cores."
    assert (plain.custom, plain.scheduling) == (None, False)
    assert own.custom == Custom(64, 262144, 2, gpu_types=("a100", "h100"))
    assert own.scheduling


QOS = Scheduling(qos="long")


@pytest.mark.parametrize(
    ("wishes", "error", "text"),
    [
        (Wishes("plain", place="arm"), UnknownPlaceError, "no place “arm”; it has power, cpu, torque"),
        (Wishes("own", place="power"), UnknownPlaceError, "it has cpu"),
        (Wishes("plain", resources=Custom(1, 512)), CustomSizeError, "no sizes of one's own"),
        (Wishes("own", "small", resources=Custom(1, 512)), TwoSizesError, "not for both"),
        (
            Wishes("own", resources=Custom(65, 512)),
            CustomSizeError,
            "64 CPU, 256 GiB and 2 GPUs; 65 CPU",
        ),
        (Wishes("own", resources=Custom(1, 262145)), CustomSizeError, "256 GiB were asked"),
        (Wishes("own", resources=Custom(1, 512, 3)), CustomSizeError, "3 GPUs were asked"),
        (Wishes("own", resources=Custom(1, 512, 1, "v100")), UnknownGpuTypeError, "it has a100, h100"),
        (Wishes("own", resources=Custom(1, 512, 0, "a100")), GpuTypeWithoutGpusError, "say how many"),
        (Wishes("plain", scheduling=QOS), SchedulingError, "account, QOS or reservation"),
    ],
)
def test_what_a_profile_does_not_offer_is_refused_with_what_it_does(cluster, wishes, error, text):
    with pytest.raises(error, match=text):
        choose(cluster, RUI, wishes)


def test_a_size_of_ones_own_within_the_limit_is_taken_as_it_is(cluster):
    choice = choose(cluster, RUI, Wishes("own", resources=Custom(64, 262144, 2, "a100"), scheduling=QOS))
    assert choice.size == Size("custom", "Own size", 64, 262144, 2, "a100")
    assert choice.scheduling == QOS


names = st.sampled_from(["a", "b", "c", "A", "operator", "id22", "maja"])


@given(
    subject=st.builds(
        Subject,
        username=names,
        groups=st.frozensets(names),
        roles=st.frozensets(names),
        instruments=st.frozensets(names),
    ),
    profile=st.none() | st.sampled_from(["lab", "lab-staff", "x"]),
    size=st.none() | st.sampled_from(["small", "medium", "large", "x"]),
    minutes=st.none() | st.integers(min_value=-10, max_value=10_000),
)
def test_whatever_is_chosen_was_offered(subject, profile, size, minutes):
    walltime = None if minutes is None else timedelta(minutes=minutes)
    try:
        choice = chosen(subject, profile, size, walltime)
    except ChoiceError:
        return
    offer = next(offer for offer in offers(PROFILES, subject) if offer.profile == choice.profile)
    assert offer.is_allowed
    assert choice.size in offer.sizes
    assert choice.walltime <= offer.walltime_max
