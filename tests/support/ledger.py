"""A ledger on a fresh database, and the people and accounts of its tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.database import Database, sqlite_url
from quota.ledger import Ledger
from quota.models import AccountKind, AccountRef, Holder, HoldLine, Resource
from quota.policy import Policy, QuotaSettings
from quota.schema import QuotaBase

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
"""A Wednesday."""

CPU, GPU, SESSIONS = Resource.CPU_SECONDS, Resource.GPU_SECONDS, Resource.SESSIONS
ADA = AccountRef(AccountKind.PERSON, "ada")
BEN = AccountRef(AccountKind.PERSON, "ben")
TEAM = AccountRef(AccountKind.PROPOSAL, "MX-1")
AS_ADA = Holder("ada", frozenset({"panhub:users"}))
AS_BEN = Holder("ben", frozenset({"panhub:users"}))


def cpu_policy(limit: float = 10, **more: Any) -> Policy:
    """Policy that enforces ``limit`` CPU-hours for each user."""
    roles = [{"group": "panhub:users", "resource": "cpu_hours", "limit": limit, **more}]
    return policy(roles=roles)


def policy(**settings: Any) -> Policy:
    """Policy of these settings, enforced unless they say otherwise."""
    return Policy(QuotaSettings.model_validate({"enforcement": "enforced", **settings}))


def sqlite_database(folder: Path) -> Database:
    """SQLite file with the ledger's tables."""
    database = Database(sqlite_url(folder / "ledger.sqlite"))
    QuotaBase.metadata.create_all(database.engine)
    return database


def cpu(amount: int, account: AccountRef = ADA) -> HoldLine:
    """Line of CPU-seconds."""
    return HoldLine(account, CPU, amount)


class Books:
    """A ledger with its database: each call is a transaction of its own."""

    def __init__(self, database: Database, rules: Policy) -> None:
        self.database = database
        self.ledger = Ledger(rules)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.ledger, name)
        return lambda *args, **kwargs: self.database.run_now(lambda s: method(s, *args, **kwargs))

    def cpu_meter(self, account: AccountRef = ADA, **more: Any) -> Any:
        """The CPU meter of an account at `NOW`."""
        meters = self.meters([account], **{"now": NOW, **more})
        return next((meter for meter in meters if meter.resource is CPU), None)
