"""What may happen once happens once, when many do it at the same moment on a real database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import Any

from sqlalchemy.orm import Session

from hub.database import Database
from hub.desktop.models import Role
from hub.launch.news import utcnow
from hub.sharing import passes, store
from hub.sharing.models import OwnerLeaves
from hub.sharing.passes import Ticket

SESSION = "0123456789abcdef"
MANY = 6


def at_once(database: Database, unit: Callable[[Session, int], Any]) -> list[Any]:
    """Results of a unit of work that many threads do at the same moment."""
    ready = Barrier(MANY)

    def one(number: int) -> Any:
        ready.wait(30)
        return database.run_now(lambda s: unit(s, number))

    with ThreadPoolExecutor(MANY) as threads:
        return list(threads.map(one, range(MANY)))


def _take(token: str, session: Session, _: int) -> Ticket | None:
    return passes.take_ticket(session, token)


def test_a_ticket_is_taken_once(database: Database) -> None:
    now = utcnow()
    ticket = Ticket(SESSION, "olive", 1, Role.OWNER, now + timedelta(seconds=15))
    for n in range(5):
        token = store.digest(f"ticket {n}")
        database.run_now(partial(passes.add_ticket, token_hash=token, ticket=ticket, now=now))
        found = at_once(database, partial(_take, token))
        assert [one for one in found if one is not None] == [ticket]


def test_an_invitation_is_used_once(database: Database) -> None:
    now = utcnow()
    invited = database.run_now(
        lambda s: store.invite(
            s, SESSION, Role.VIEWER, token="t", by="olive", now=now, expires_at=now + timedelta(hours=1)
        )
    )
    found = at_once(database, lambda s, n: store.use_invitation(s, invited, f"person{n}", utcnow()))
    assert found.count(True) == 1


def test_a_person_has_one_open_request_and_a_desktop_one_row(database: Database) -> None:
    def ask(session: Session, _: int) -> bool:
        store.locked(session, SESSION, owner="olive", policy=OwnerLeaves.LOCK)
        return store.ask(session, SESSION, "nora", Role.VIEWER, warning="", now=utcnow())

    assert at_once(database, ask).count(True) == 1
    assert len(database.run_now(lambda s: store.asks(s, SESSION))) == 1
    [asked] = database.run_now(lambda s: store.asks(s, SESSION))

    def answer(session: Session, _: int) -> bool:
        return store.answer(session, SESSION, asked.id, state="granted", by="olive", now=utcnow())

    assert at_once(database, answer).count(True) == 1
