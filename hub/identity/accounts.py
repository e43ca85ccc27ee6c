"""As whom does a session run? Person → POSIX `Account`, with a floor below which nobody runs.

Four sources: the service's own account (a demo on one machine), the system's accounts (NSS, thus
LDAP or SSSD), claims of the provider, or a table in the settings. Where NSS and a claim both say
something they must agree.
"""

from __future__ import annotations

import asyncio
import os
import pwd
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from hub.identity.models import Person
from hub.identity.settings import AccountSettings, StaticAccount
from spawners.ownthreads import OwnThreads
from spawners.plan import Account

_HOME_MODE = 0o700
_NSS_TIMEOUT_S = 5.0
"""An LDAP server that hangs must not hang a launch."""


class AccountError(Exception):
    """There is no account that a session of this person may run as; the text is fit for them."""


class AccountResolver(Protocol):
    """Finds the account of a person."""

    async def resolve(self, person: Person) -> Account:
        """Account that the person's sessions run as.

        Raises
        ------
        AccountError
            If there is none, or none that may run sessions.
        """
        ...


def make_resolver(settings: AccountSettings) -> AccountResolver:
    """Resolver of the configured kind."""
    match settings.kind:
        case "service":
            assert settings.homes is not None
            return ServiceAccounts(settings.homes)
        case "nss":
            return NssAccounts(settings)
        case "claims":
            return ClaimedAccounts(settings)
        case "static":
            return StaticAccounts(settings)


class ServiceAccounts:
    """All sessions run as the account of the service itself; homes are told apart by folder.

    For one machine and one person who tries things out: it does not part people from each other
    by uid, so the floor says nothing here.
    """

    def __init__(self, homes: Path) -> None:
        self._homes = homes

    async def resolve(self, person: Person) -> Account:
        """Own uid and gid, and a home folder of the person's name, made if missing."""
        home = await asyncio.to_thread(self._make_home, person.username)
        return Account(person.username, os.getuid(), os.getgid(), PurePosixPath(home))

    def _make_home(self, username: str) -> Path:
        home = self._homes.resolve() / username
        home.mkdir(mode=_HOME_MODE, parents=True, exist_ok=True)
        if home.is_symlink() or home.stat().st_uid != os.getuid():
            raise AccountError("Your home folder does not belong to this service.")
        home.chmod(_HOME_MODE)
        return home


class NssAccounts:
    """Accounts of the system, by name."""

    def __init__(self, settings: AccountSettings) -> None:
        self._settings = settings
        self._threads = OwnThreads("accounts")

    async def resolve(self, person: Person) -> Account:
        """Account of the person's name, which must be the one that the claims state, if they do."""
        try:
            look = partial(_nss_account, person.username)
            account = await self._threads.run(look, timeout_s=_NSS_TIMEOUT_S)
        except TimeoutError as error:
            raise AccountError("The directory of accounts does not answer. Try again later.") from error
        claim = person.posix
        if claim.uid not in (None, account.uid) or claim.gid not in (None, account.gid):
            raise AccountError(
                "Your account here and the one that your sign-in states differ; the support must look at it."
            )
        return checked(account, self._settings)


class ClaimedAccounts:
    """Accounts as the identity provider states them in claims that people cannot edit."""

    def __init__(self, settings: AccountSettings) -> None:
        self._settings = settings

    async def resolve(self, person: Person) -> Account:
        """Account of the last sign-in's claims; all three of uid, gid and home are needed."""
        claim = person.posix
        if claim.uid is None or claim.gid is None or claim.home is None:
            raise AccountError("Your sign-in does not state an account to work with here.")
        account = Account(person.username, claim.uid, claim.gid, PurePosixPath(claim.home))
        return checked(account, self._settings)


class StaticAccounts:
    """Accounts of the table in the settings."""

    def __init__(self, settings: AccountSettings) -> None:
        self._settings = settings

    async def resolve(self, person: Person) -> Account:
        """Account that the table gives to the person's name."""
        entry: StaticAccount | None = self._settings.accounts.get(person.username)
        if entry is None:
            raise AccountError(f"There is no account for {person.username} here.")
        account = Account(
            person.username, entry.uid, entry.gid, PurePosixPath(entry.home), groups=entry.groups
        )
        return checked(account, self._settings)


def checked(account: Account, settings: AccountSettings) -> Account:
    """The account if it may run sessions, without the groups that none should have.

    Raises
    ------
    AccountError
        If it is denied, below the floor, or its home is no plain absolute path.
    """
    if account.name in settings.denied:
        raise AccountError(f"The account {account.name} does not run sessions.")
    if account.uid < settings.uid_floor or account.gid < settings.gid_floor:
        raise AccountError(f"{account.name} is a system account (uid {account.uid}), which runs no sessions.")
    if not account.home.is_absolute() or ".." in account.home.parts or len(account.home.parts) < 2:
        raise AccountError(f"The account {account.name} has no home folder to work in.")
    groups = tuple(sorted({gid for gid in account.groups if gid >= settings.supplementary_gid_floor}))
    return Account(account.name, account.uid, account.gid, account.home, groups=groups)


def _nss_account(username: str) -> Account:
    try:
        entry = pwd.getpwnam(username)
    except KeyError as error:
        raise AccountError(f"There is no account for {username} on this system.") from error
    if entry.pw_name != username:
        # Directories that ignore case answer for JDOE and jdoe alike.
        raise AccountError(f"There is no account for {username} on this system.")
    groups = tuple(gid for gid in os.getgrouplist(username, entry.pw_gid) if gid != entry.pw_gid)
    return Account(username, entry.pw_uid, entry.pw_gid, PurePosixPath(entry.pw_dir), groups=groups)
