"""Fixtures: a site, a hub's answers, and a backend that leaves nothing behind."""

import asyncio
import os

import pytest

from spawners.local.backend import LocalBackend
from spawners.local.bubblewrap import probe
from spawners.local.processes import kill_launch, of_launch
from spawners.local.settings import LocalSettings
from tests.support.local import Site, hub_stub, notebook_environment, quick_environment, wait_until


def missing(what):
    """Fail where everything is required, else skip with the reason."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def bubblewrap():
    found = probe("required")
    if found.kind != "bubblewrap":
        missing(found.reason)
    return found


@pytest.fixture
def hub():
    with hub_stub() as stub:
        yield stub


@pytest.fixture(params=["bubblewrap", "links"])
def isolation(request):
    """Both kinds of view, for what must hold in both."""
    if request.param == "bubblewrap":
        request.getfixturevalue("bubblewrap")
    return request.param


@pytest.fixture
def quick_site(tmp_path):
    return Site(tmp_path / "site", quick_environment(tmp_path / "site" / "environment"))


@pytest.fixture
def notebook_site(tmp_path):
    environment = notebook_environment()
    if environment is None:
        missing("the notebook environment build/environments/pan-core was not made")
    return Site(tmp_path / "site", environment)


@pytest.fixture
async def make_backend(tmp_path):
    """Makes backends on one state folder; afterwards everything they started is ended."""
    made = []

    def make(kind="bubblewrap", **settings):
        settings = {
            "state": tmp_path / "state",
            "isolation": "required" if kind == "bubblewrap" else "off",
            "grace_s": 20,
            **settings,
        }
        made.append(LocalBackend(LocalSettings(**settings)))
        return made[-1]

    yield make
    if not made:
        return
    found = await made[0].find()
    await asyncio.gather(*(made[0].stop(key, handle) for key, handle in found.items()))
    for key in found:
        kill_launch(key)
        await asyncio.to_thread(lambda key=key: wait_until(lambda: not of_launch(key), 10))
    for backend in made:
        await backend.aclose()


@pytest.fixture
def run_plan(hub):
    """Starts a plan and waits for its report; returns handle and port (0 if nothing was reported)."""
    from tests.support.local import credentials

    async def run(backend, plan, *, answers=True, **environment):
        steps = [step async for step in backend.start(plan, credentials(hub, plan, **environment))]
        assert len(steps) == 1
        handle = dict(steps[0].handle)
        if not answers:
            return handle, 0
        path = f"/internal/reports/{plan.launch_id}"
        found = await asyncio.to_thread(
            lambda: wait_until(lambda: [r for r in hub.reports if r.path == path], 60, "the report")
        )
        return handle, found[0].body["port"]

    return run
