"""Claims become an identity, or nobody."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.identity.claims import (
    ClaimError,
    GroupsAbsentError,
    check_username,
    identity_from_claims,
    initials,
    normalise_groups,
)
from hub.identity.models import PosixClaim, StaffRole
from hub.identity.report import IdentityReport
from hub.identity.settings import IdentitySettings, RoleSettings

SETTINGS = IdentitySettings(
    issuer="https://sso.facility.example/realms/facility",
    client_secret_file=Path("secret"),
    reserved_names=frozenset({"beamline"}),
    roles=RoleSettings(groups={"staff:stewards": StaffRole.DATA_STEWARD}),
)
CLAIMS: dict[str, Any] = {
    "sub": "f0c6",
    "preferred_username": "jdoe",
    "name": "Jane Doe",
    "email": "j@facility.example",
    "groups": ["/panhub/users", "/instruments/id11/scientists", "/staff/stewards"],
    "resource_access": {"panhub": {"roles": ["operator", "unknown"]}, "other": {"roles": ["data-steward"]}},
    "facility_user_id": 123456,
    "uidNumber": "50123",
    "gidNumber": 1000,
    "homeDirectory": "/home/jdoe",
}


def test_full_token_is_read() -> None:
    identity = identity_from_claims(CLAIMS, SETTINGS)
    assert identity.username == "jdoe"
    assert identity.user_id == "123456"
    assert identity.groups == {"panhub:users", "instrument:id11", "staff:stewards"}
    assert identity.roles == {StaffRole.OPERATOR, StaffRole.DATA_STEWARD}
    assert identity.posix == PosixClaim(50123, 1000, "/home/jdoe")
    assert identity.issuer == SETTINGS.issuer


def test_role_of_another_client_is_not_ours() -> None:
    claims = {**CLAIMS, "groups": [], "resource_access": {"other": {"roles": ["operator"]}}}
    assert identity_from_claims(claims, SETTINGS).roles == frozenset()


@pytest.mark.parametrize("access", [None, 3, [], {"panhub": []}, {"panhub": {"roles": "operator"}}])
def test_roles_of_another_shape_are_none(access: object) -> None:
    claims = {**CLAIMS, "groups": [], "resource_access": access}
    assert identity_from_claims(claims, SETTINGS).roles == frozenset()


@pytest.mark.parametrize("name", ["a", "jdoe", "j.doe", "j-doe", "j_doe", "x1", "a" * 32])
def test_strict_name_is_taken(name: str) -> None:
    assert check_username(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "JDOE",
            "jDoe",
            "\u212adoe",
            "\u0131doe",
            "ｊdoe",
            "jdoé",
            "ja\u200bne",
            "1doe",
            "-rf",
            ".",
            "..",
            "_x",
        ),
        *("", " ", "j doe", "jdoe\n", "jdoe\nroot", "jdoe\r", "jdoe\x00", "a/b", "a\\b", "%2e%2e", "$(id)"),
        *(".", "..", "_x", "a" * 33, "j@x", "j:x", None, 7, ["jdoe"], b"jdoe", True),
        *("root", "nobody", "slurm", "jupyterhub", "beamline"),
    ],
)
def test_any_other_name_is_refused(name: object) -> None:
    with pytest.raises(ClaimError):
        check_username(name, SETTINGS.reserved_names)


@given(st.text(max_size=40))
def test_a_taken_name_is_ascii_and_unchanged(name: str) -> None:
    try:
        taken = check_username(name)
    except ClaimError:
        return
    assert taken == name == name.lower()
    assert set(name) <= set(string.ascii_lowercase + string.digits + "._-")


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/panhub/users", "panhub:users"),
        ("/panhub/a/b", "panhub:a:b"),
        ("/staff/scientific-computing", "staff:scientific-computing"),
        ("/instruments/id11/scientists", "instrument:id11"),
        ("/instruments/id11", "group:instruments:id11"),
        ("/instruments/id11/users", "group:instruments:id11:users"),
        ("/instruments/id11/scientists/x", "group:instruments:id11:scientists:x"),
        ("/instrument/id11", "group:instrument:id11"),
        ("/beamline/p11", "group:beamline:p11"),
        ("/staff", "group:staff"),
        ("users", "group:users"),
        ("panhub/users", "group:panhub:users"),
        ("/panhub/Users", "panhub:Users"),
    ],
)
def test_group_path_gets_its_namespace(path: str, group: str) -> None:
    assert normalise_groups([path]) == (frozenset({group}), ())


@pytest.mark.parametrize(
    "path",
    [
        *("/panhub/a~/b", "/panhub//users", "/", "", "//panhub/users", "/panhub/users/", "/panhub/us ers"),
        *("/panhub:users", "/panhub/../staff", "/panhub/users\n", "/pan\u200bhub/users", None, 3, ["x"]),
    ],
)
def test_ambiguous_group_grants_nothing(path: object) -> None:
    groups, ignored = normalise_groups([path])
    assert groups == frozenset()
    assert len(ignored) == 1


SEGMENT = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=8).filter(
    lambda text: text[0].isalnum()
)
PATHS = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(PATHS, PATHS)
def test_two_paths_never_become_one_group(first: str, second: str) -> None:
    (one, _), (other, _) = normalise_groups([first]), normalise_groups([second])
    assert (one == other) == (first == second)


@given(st.lists(PATHS))
def test_groups_do_not_depend_on_order_or_repetition(paths: list[str]) -> None:
    assert normalise_groups(paths) == normalise_groups([*reversed(paths), *paths])


def test_absent_groups_are_not_no_groups() -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != "groups"}
    with pytest.raises(GroupsAbsentError):
        identity_from_claims(claims, SETTINGS)
    lenient = SETTINGS.model_copy(update={"absent_groups": "empty"})
    assert identity_from_claims(claims, lenient).groups == frozenset()
    assert identity_from_claims({**CLAIMS, "groups": []}, SETTINGS).groups == frozenset()


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": "/panhub/users"},
        {"groups": None},
        {"groups": {"/panhub/users": True}},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": "ü"},
        {"sub": 5},
        {"facility_user_id": "a b"},
        {"facility_user_id": "../1"},
        {"facility_user_id": True},
        {"uidNumber": "-1"},
        {"uidNumber": -1},
        {"uidNumber": True},
        {"uidNumber": 1.5},
        {"uidNumber": "٣"},
        {"uidNumber": 2**31},
        {"gidNumber": "x"},
        {"homeDirectory": "home"},
        {"homeDirectory": "/home/../etc"},
        {"homeDirectory": "/home/j\n"},
    ],
)
def test_unusable_claim_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ClaimError):
        identity_from_claims({**CLAIMS, **changes}, SETTINGS)


def test_what_people_type_about_themselves_is_one_printable_line() -> None:
    claims = {**CLAIMS, "name": " Jane\n\u202eDoe\x00 \u200b" + "x" * 200, "email": 5}
    identity = identity_from_claims(claims, SETTINGS)
    assert identity.display_name.startswith("Jane Doe")
    assert identity.display_name.isprintable()
    assert len(identity.display_name) == 100
    assert identity.email is None


def test_person_without_a_display_name_has_their_username() -> None:
    assert identity_from_claims({**CLAIMS, "name": "\n"}, SETTINGS).display_name == "jdoe"


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Jane Doe", "JD"), ("jane", "J"), ("Ana Maria de Souza", "AS"), ("(Jane) Doe", "D"), ("…", "")],
)
def test_initials(name: str, letters: str) -> None:
    assert initials(name) == letters


def test_report_carries_the_identity_unchanged() -> None:
    identity = identity_from_claims(CLAIMS, SETTINGS)
    assert IdentityReport.model_validate(identity.to_json()).to_identity() == identity
