"""One person, one name: the table of persons."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from hub.database import HubBase, make_engine
from hub.identity import persons
from hub.identity.claims import Identity
from hub.identity.models import PosixClaim, StaffRole
from hub.identity.persons import (
    IdentityConflictError,
    PersonBlockedError,
    PersonChangeRow,
    PersonError,
    PersonRow,
    UnknownPersonError,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
JANE = Identity(
    "https://sso.example", "subject-1", "jane", "Jane Doe", "j@x.example", "100101",
    frozenset({"panhub:users"}), frozenset({StaffRole.OPERATOR}), PosixClaim(5001, 1000, "/home/jane"),
)  # fmt: skip


@pytest.fixture
def session() -> Iterator[Session]:
    engine = make_engine("sqlite://")
    tables = [HubBase.metadata.tables[row.__tablename__] for row in (PersonRow, PersonChangeRow)]
    HubBase.metadata.create_all(engine, tables=tables)
    with Session(engine) as session, session.begin():
        yield session
    engine.dispose()


def test_first_sign_in_makes_the_person(session: Session) -> None:
    person = persons.record_login(session, JANE, NOW)
    assert person.is_operator
    assert person.posix == JANE.posix
    assert persons.by_username(session, "jane") == persons.by_id(session, person.id) == person


def test_next_sign_in_brings_the_person_up_to_date(session: Session) -> None:
    first = persons.record_login(session, JANE, NOW)
    later = dataclasses.replace(JANE, display_name="Jane Roe", groups=frozenset(), roles=frozenset())
    person = persons.record_login(session, later, NOW + timedelta(days=1))
    assert person.id == first.id
    assert (person.display_name, person.groups, person.roles) == ("Jane Roe", frozenset(), frozenset())
    row = session.scalars(select(PersonRow)).one()
    assert (row.first_seen, row.last_seen) == (NOW, NOW + timedelta(days=1))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"subject": "subject-2"}, id="another subject takes the name"),
        pytest.param({"issuer": "https://other.example"}, id="another issuer takes the name"),
        pytest.param({"username": "jane2"}, id="the subject comes under another name"),
        pytest.param({"subject": "SUBJECT-1"}, id="subjects are told apart by case"),
    ],
)
def test_re_assigned_name_is_refused_and_changes_nothing(session: Session, changes: dict[str, str]) -> None:
    before = persons.record_login(session, JANE, NOW)
    with pytest.raises(IdentityConflictError):
        persons.record_login(session, dataclasses.replace(JANE, **changes), NOW)  # type: ignore[arg-type]
    assert persons.by_username(session, "jane") == before
    assert persons.by_username(session, "jane2") is None


def test_two_people_who_swap_names_are_refused(session: Session) -> None:
    persons.record_login(session, JANE, NOW)
    joe = dataclasses.replace(JANE, subject="subject-2", username="joe")
    persons.record_login(session, joe, NOW)
    with pytest.raises(IdentityConflictError):
        persons.record_login(session, dataclasses.replace(JANE, username="joe"), NOW)


def test_operator_links_a_name_again_and_the_reason_is_kept(session: Session) -> None:
    person = persons.record_login(session, JANE, NOW)
    persons.relink(
        session, username="jane", issuer=JANE.issuer, subject="subject-2", by="sam", reason="moved", now=NOW
    )
    again = persons.record_login(session, dataclasses.replace(JANE, subject="subject-2"), NOW)
    assert again.id == person.id
    with pytest.raises(IdentityConflictError):
        persons.record_login(session, JANE, NOW)
    kept = session.scalars(select(PersonChangeRow)).one()
    assert (kept.by, kept.reason, kept.at) == ("sam", "moved", NOW)
    assert (kept.before["subject"], kept.after["subject"]) == ("subject-1", "subject-2")


def test_link_to_a_subject_of_another_person_is_refused(session: Session) -> None:
    persons.record_login(session, JANE, NOW)
    persons.record_login(session, dataclasses.replace(JANE, subject="subject-2", username="joe"), NOW)
    with pytest.raises(IdentityConflictError):
        persons.relink(
            session, username="jane", issuer=JANE.issuer, subject="subject-2", by="sam", reason="x", now=NOW
        )


def test_change_without_reason_is_refused(session: Session) -> None:
    persons.record_login(session, JANE, NOW)
    with pytest.raises(PersonError, match="reason"):
        persons.set_blocked(session, username="jane", is_blocked=True, by="sam", reason=" ", now=NOW)


def test_change_of_a_person_who_never_signed_in_is_refused(session: Session) -> None:
    with pytest.raises(UnknownPersonError):
        persons.set_blocked(session, username="jane", is_blocked=True, by="sam", reason="x", now=NOW)


def test_renamed_person_signs_in_under_the_new_name(session: Session) -> None:
    person = persons.record_login(session, JANE, NOW)
    persons.rename(session, username="jane", new="jroe", by="sam", reason="married", now=NOW)
    again = persons.record_login(session, dataclasses.replace(JANE, username="jroe"), NOW)
    assert again.id == person.id


@pytest.mark.parametrize("new", ["Jroe", "root", "-rf"])
def test_person_is_never_renamed_to_a_name_that_cannot_sign_in(session: Session, new: str) -> None:
    persons.record_login(session, JANE, NOW)
    with pytest.raises(PersonError):
        persons.rename(session, username="jane", new=new, by="sam", reason="x", now=NOW)


def test_blocked_person_is_refused_until_let_in_again(session: Session) -> None:
    persons.record_login(session, JANE, NOW)
    blocked = persons.set_blocked(session, username="jane", is_blocked=True, by="sam", reason="x", now=NOW)
    assert blocked.is_blocked
    with pytest.raises(PersonBlockedError):
        persons.record_login(session, JANE, NOW)
    persons.set_blocked(session, username="jane", is_blocked=False, by="sam", reason="y", now=NOW)
    assert not persons.record_login(session, JANE, NOW).is_blocked


def test_people_are_found_in_one_query(session: Session) -> None:
    jane = persons.record_login(session, JANE, NOW)
    assert persons.by_usernames(session, ["jane", "nobody-else"]) == {"jane": jane}
