"""The demo's provider moved to another port: its people are the same.

A person is known by (issuer, subject), and the demo's issuer has its port in it. Where the usual
port was taken the people of an earlier run would be strangers; so they are linked anew, as an
operator would after a move of a real provider, and as there the change is kept with its reason.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from hub.database import Database
from hub.demo.people import PEOPLE
from hub.identity import persons
from hub.migrate import upgrade
from hub.settings import Settings

_REASON = "the demo's provider has another port in this run"


def link_people(settings: Settings) -> None:
    """Link the demo's people to the issuer of this run. Before the service starts; blocking."""
    upgrade(settings.database.url)
    database = Database(settings.database.url)
    try:
        database.run_now(lambda session: _link(session, settings.identity.issuer))
    finally:
        database.close()


def _link(session: Session, issuer: str) -> None:
    for one in PEOPLE:
        person = persons.by_username(session, one.username)
        if person is not None and person.issuer != issuer:
            persons.relink(
                session,
                username=one.username,
                issuer=issuer,
                subject=one.subject,
                by="demo",
                reason=_REASON,
                now=datetime.now(UTC),
            )
