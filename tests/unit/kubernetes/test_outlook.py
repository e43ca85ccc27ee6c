"""What a place says before anything is held: a home or data that is not there makes no pod."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from spawners.backend import BackendUnavailableError, NotAdmittedError
from spawners.kubernetes import outlook
from spawners.kubernetes.outlook import Outlook
from spawners.ownthreads import OwnThreads
from tests.support.kubernetes_plans import a_cluster, a_plan, mount

THREADS = OwnThreads("storage", most=2)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    (tmp_path / "home" / "alice").mkdir(parents=True)
    (tmp_path / "RAW").mkdir()
    return tmp_path


def asked(storage, home, *mounts):
    entry = {"path": str(storage), "source": {"kind": "claim", "claim": "site"}}
    look = Outlook(SimpleNamespace(settings=a_cluster(storage=[entry]), storage_threads=THREADS), "default")
    account = replace(a_plan().account, home=PurePosixPath(storage / "home" / home))
    shown = tuple(mount(str(storage / name), f"/data/{name}") for name in mounts)
    return look._check_folders(a_plan(account=account, mounts=shown))


@pytest.mark.parametrize(
    ("home", "mounts", "words"),
    [
        ("alice", ("RAW",), None),
        ("bob", ("RAW",), "Your home folder is not on the storage"),
        ("alice", ("RAW", "GONE"), "is without .*/GONE[.]"),
        ("alice", ("a", "b", "c", "d"), "and more"),
    ],
)
async def test_folders_are_looked_for_before_the_kubelet_would_make_them(storage, home, mounts, words):
    if words is None:
        await asked(storage, home, *mounts)
        return
    with pytest.raises(NotAdmittedError, match=words) as found:
        await asked(storage, home, *mounts)
    assert found.value.code == "data_not_here"


async def test_a_storage_that_does_not_answer_is_not_waited_for(storage, monkeypatch):
    monkeypatch.setattr(outlook, "_STORAGE_S", 0.01)
    monkeypatch.setattr(outlook, "absent", lambda *_: time.sleep(20))
    for _ in range(40):  # the loop has fewer threads of its own
        with pytest.raises(BackendUnavailableError, match="storage does not answer"):
            await asked(storage, "alice")
    async with asyncio.timeout(10):
        assert await asyncio.to_thread(lambda: 7) == 7
