"""The system's accounts are looked up off the loop, with an end."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import threading
import time

import pytest

from spawners.slurm.gateway import directory
from spawners.slurm.gateway.directory import Directory, DirectoryUnavailableError


def make(timeout_s: float = 5.0, slurm_user: str = "root") -> Directory:
    own = grp.getgrgid(os.getgid()).gr_name
    return Directory(groups=(own, "no-such-group"), slurm_user=slurm_user, timeout_s=timeout_s)


async def test_an_account_is_found_with_the_groups_that_matter():
    own = pwd.getpwuid(os.getuid())
    found = await make().lookup(own.pw_name)
    assert (found.name, found.uid, found.slurm_uid) == (own.pw_name, own.pw_uid, 0)
    assert set(found.groups) == {grp.getgrgid(os.getgid()).gr_name}


async def test_one_that_is_not_there_is_none():
    assert await make().lookup("no-such-account") is None
    assert (await make(slurm_user="no-such-account").lookup("root")).slurm_uid is None


async def test_a_directory_that_hangs_is_not_waited_for_and_takes_few_threads(monkeypatch):
    gate = threading.Event()
    real = pwd.getpwnam

    def hang(name):
        gate.wait(10)
        return real(name)

    monkeypatch.setattr(directory.pwd, "getpwnam", hang)
    looked = make(timeout_s=0.1)
    before = threading.active_count()
    began = time.monotonic()
    found = await asyncio.gather(*(looked.lookup("root") for _ in range(20)), return_exceptions=True)
    assert all(isinstance(error, DirectoryUnavailableError) for error in found)
    assert time.monotonic() - began < 2
    assert threading.active_count() - before <= 4
    gate.set()
    for _ in range(100):
        try:
            assert (await looked.lookup("root")).uid == 0
            return
        except DirectoryUnavailableError:
            await asyncio.sleep(0.02)
    pytest.fail("it does not recover")
