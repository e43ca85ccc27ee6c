"""The documented transport on PySlurm is one, as far as a stand-in for the library can tell."""

from __future__ import annotations

import re
import sys
import types
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from spawners.slurm.connect import make_transport
from spawners.slurm.models import JobState, marked
from spawners.slurm.settings import ClusterSettings, CustomSettings
from spawners.slurm.transport import SlurmUnavailableError

PAGE = Path(__file__).parents[3] / "docs/how-to/slurm-transport.md"


class RPCError(Exception):
    """The library's error."""


def job(**changes):
    fields = {
        "id": 7,
        "state": "RUNNING",
        "user_name": "maja",
        "name": "panhub",
        "state_reason": "None",
        "account": "ma5501",
        "partition": "cpu",
        "qos": "normal",
        "comment": "panhub:0123456789abcdef",
        "wckey": None,
        "allocated_nodes": "cpu[1-2]",
        "cpus": 4,
        "submit_time": 1_790_000_000,
        "start_time": 1_790_000_060,
        "end_time": None,
        "time_limit": 120,
    }
    return SimpleNamespace(**{**fields, **changes})


@pytest.fixture
def library(monkeypatch):
    """A module called ``pyslurm`` whose jobs the test sets, and the page's code as a module."""
    library = types.ModuleType("pyslurm")
    helpers = types.ModuleType("pyslurm.utils.helpers")
    helpers.nodelist_from_range_str = lambda _text: ["cpu1", "cpu2"]
    library.RPCError = RPCError
    library.jobs = {}
    library.Jobs = SimpleNamespace(load=lambda: library.jobs)
    partition = SimpleNamespace(name="cpu", nodes="cpu[1-2]", state="UP")
    library.Partitions = SimpleNamespace(load=lambda: {"cpu": partition})
    for name, module in (
        ("pyslurm", library),
        ("pyslurm.utils", helpers),
        ("pyslurm.utils.helpers", helpers),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    site = types.ModuleType("facility_slurm")
    exec(compile(code, str(PAGE), "exec"), site.__dict__)
    monkeypatch.setitem(sys.modules, "facility_slurm", site)
    return library


@pytest.fixture
async def transport(library):
    settings = ClusterSettings(
        transport=CustomSettings(
            kind="custom", class_name="facility_slurm:PySlurmTransport", options={"workers": 1}
        ),
        session_code=PurePosixPath("/opt/panhub/session"),
    )
    made = make_transport(settings, tokens=SimpleNamespace())
    yield made
    await made.aclose()


async def test_jobs_and_partitions_are_ours(library, transport):
    library.jobs = {7: job()}
    (found,) = await transport.jobs()
    assert (found.id, found.state, found.user, found.nodes) == (7, JobState.RUNNING, "maja", ("cpu1", "cpu2"))
    assert marked(found.comment) == "0123456789abcdef"
    assert found.starts_at == datetime.fromtimestamp(1_790_000_060, UTC)
    assert found.time_limit.total_seconds() == 7200
    (partition,) = await transport.partitions()
    assert (partition.name, partition.is_up) == ("cpu", True)


@pytest.mark.parametrize(
    ("text", "state"),
    [("COMPLETING", JobState.RUNNING), ("REQUEUED", JobState.PENDING), ("FAILED", JobState.FAILED)],
)
async def test_a_flag_is_not_an_end(library, transport, text, state):
    library.jobs = {7: job(state=text)}
    (found,) = await transport.jobs()
    assert found.state is state


async def test_what_is_not_understood_is_not_known(library, transport):
    library.jobs = {7: job(state="ENTANGLED")}
    with pytest.raises(SlurmUnavailableError, match="ENTANGLED"):
        await transport.jobs()

    def fail():
        raise RPCError("timed out")

    library.Jobs.load = fail
    with pytest.raises(SlurmUnavailableError, match="timed out"):
        await transport.jobs()
