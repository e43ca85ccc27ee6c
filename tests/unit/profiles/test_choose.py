"""What a person may pick, and what their wishes come to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.choose import (
    ChoiceError,
    NoProfileError,
    UnknownProfileError,
    UnknownSizeError,
    WalltimeError,
    choose,
    offers,
)
from profiles.gates import Subject, is_allowed, why_not
from profiles.loader import load_profiles
from profiles.models import Rule
from spawners.plan import Interface

ROOT = Path(__file__).parents[3]
PROFILES = load_profiles(ROOT / "profiles/site/demo.yaml", environments_root=ROOT)

RUI = Subject("rui", groups=frozenset({"panhub:users"}))
SAM = Subject("sam", roles=frozenset({"operator"}))
HELENE = Subject("helene", instruments=frozenset({"id22"}))


def chosen(subject, profile=None, size=None, walltime=None):
    return choose(PROFILES, subject, profile, size, Interface.LAB, walltime)


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
        choose(profiles, RUI, None, None, Interface.LAB, None)
    assert choose(profiles, Subject("maja"), None, None, Interface.LAB, None).profile == "lab"
    assert choose(profiles, SAM, None, None, Interface.LAB, None).profile == "lab-staff"


def test_offers_list_what_is_open_first_and_say_why_the_rest_is_not():
    first, last = offers(PROFILES, RUI)
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
