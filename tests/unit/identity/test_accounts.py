"""As which account a session runs, and as which never."""

from __future__ import annotations

import asyncio
import os
import pwd
import threading
from pathlib import Path, PurePosixPath

import pytest
from pydantic import ValidationError

from hub.identity import accounts
from hub.identity.accounts import AccountError, checked, make_resolver
from hub.identity.models import Person, PosixClaim
from hub.identity.settings import AccountSettings
from spawners.plan import Account


def person(username: str = "jane", posix: PosixClaim | None = None) -> Person:
    return Person(1, "https://sso.example", "s", username, "Jane", posix=posix or PosixClaim())


async def test_service_account_gets_a_private_home_per_person(tmp_path: Path) -> None:
    resolver = make_resolver(AccountSettings(kind="service", homes=tmp_path / "homes"))
    account = await resolver.resolve(person())
    assert (account.uid, account.gid) == (os.getuid(), os.getgid())
    home = Path(account.home)
    assert home == tmp_path / "homes/jane"
    assert home.stat().st_mode & 0o777 == 0o700
    home.chmod(0o755)
    assert await resolver.resolve(person()) == account
    assert home.stat().st_mode & 0o777 == 0o700


async def test_home_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "jane").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AccountError):
        await make_resolver(AccountSettings(kind="service", homes=tmp_path)).resolve(person())


async def test_claims_give_the_account() -> None:
    resolver = make_resolver(AccountSettings(kind="claims"))
    account = await resolver.resolve(person(posix=PosixClaim(5001, 1000, "/home/jane")))
    assert account == Account("jane", 5001, 1000, PurePosixPath("/home/jane"))


@pytest.mark.parametrize(
    "claim",
    [
        PosixClaim(),
        PosixClaim(5001, 1000, None),
        PosixClaim(0, 1000, "/home/jane"),
        PosixClaim(999, 1000, "/home/jane"),
        PosixClaim(5001, 0, "/home/jane"),
        PosixClaim(5001, 1000, "/"),
        PosixClaim(5001, 1000, "/home/../root"),
        PosixClaim(5001, 1000, "home"),
    ],
)
async def test_claims_below_the_floor_or_incomplete_are_refused(claim: PosixClaim) -> None:
    with pytest.raises(AccountError):
        await make_resolver(AccountSettings(kind="claims")).resolve(person(posix=claim))


async def test_static_table_gives_the_account_without_system_groups() -> None:
    entry = {"uid": 5001, "gid": 1000, "home": "/home/jane", "groups": (0, 6, 998, 2001, 2001)}
    settings = AccountSettings.model_validate({"kind": "static", "accounts": {"jane": entry}})
    account = await make_resolver(settings).resolve(person())
    assert account.groups == (2001,)
    with pytest.raises(AccountError):
        await make_resolver(settings).resolve(person("joe"))


def test_denied_account_runs_nothing() -> None:
    account = Account("jane", 5001, 1000, PurePosixPath("/home/jane"))
    with pytest.raises(AccountError):
        checked(account, AccountSettings(denied=frozenset({"jane"})))


async def test_name_unknown_to_the_system_is_refused() -> None:
    with pytest.raises(AccountError):
        await make_resolver(AccountSettings(kind="nss")).resolve(person("nobody-has-this-name"))


async def test_system_account_is_refused() -> None:
    with pytest.raises(AccountError, match="system account"):
        await make_resolver(AccountSettings(kind="nss")).resolve(person("root"))


async def test_a_directory_that_does_not_answer_holds_up_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(accounts, "_nss_account", lambda _: is_over.wait())
    monkeypatch.setattr(accounts, "_NSS_TIMEOUT_S", 0.05)
    resolver = make_resolver(AccountSettings(kind="nss"))
    try:
        for _ in range(40):  # the loop has fewer threads of its own
            with pytest.raises(AccountError, match="does not answer"):
                await resolver.resolve(person())
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: 7) == 7
    finally:
        is_over.set()


@pytest.fixture
def jane_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("jane", "x", 5001, 1000, "", "/home/jane", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: entry)
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, 27, 2001])


@pytest.mark.usefixtures("jane_of_the_system")
@pytest.mark.parametrize("claim", [PosixClaim(), PosixClaim(5001), PosixClaim(5001, 1000, "/elsewhere")])
async def test_account_of_the_system_with_its_groups(claim: PosixClaim) -> None:
    account = await make_resolver(AccountSettings(kind="nss")).resolve(person(posix=claim))
    assert account == Account("jane", 5001, 1000, PurePosixPath("/home/jane"), groups=(2001,))


@pytest.mark.usefixtures("jane_of_the_system")
@pytest.mark.parametrize("claim", [PosixClaim(5002), PosixClaim(5001, 1001), PosixClaim(None, 1001)])
async def test_account_that_the_claim_contradicts_is_refused(claim: PosixClaim) -> None:
    with pytest.raises(AccountError, match="differ"):
        await make_resolver(AccountSettings(kind="nss")).resolve(person(posix=claim))


@pytest.mark.usefixtures("jane_of_the_system")
async def test_directory_that_ignores_case_makes_no_second_person() -> None:
    with pytest.raises(AccountError):
        await make_resolver(AccountSettings(kind="nss")).resolve(person("jane2"))


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "service"},
        {"kind": "nss", "homes": "/x"},
        {"kind": "static"},
        {"kind": "static", "accounts": {"Root": {"uid": 1, "gid": 1, "home": "/x"}}},
        {"kind": "static", "accounts": {"x": {"uid": 1, "gid": 1, "home": "x"}}},
        {"kind": "nss", "uid_floor": 0},
        {"kind": "other"},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_stop_the_start(raw: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AccountSettings.model_validate(raw)
