"""A session with the notebook environment: JupyterLab answers, knows its time and stays on the site."""

import asyncio
import json
import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import async_playwright, expect

from spawners.backend import EndCause
from tests.support.kernelsockets import execute, own_environment
from tests.support.local import request


@pytest.fixture
async def lab(make_backend, notebook_site, run_plan, hub, isolation):
    """A running notebook session: asks it as its person."""
    backend, plan = make_backend(isolation), notebook_site.plan()
    handle, port = await run_plan(backend, plan)

    async def ask(path, body=None):
        status, content = await asyncio.to_thread(request, hub, port, path, body)
        return status, content.decode()

    ask.backend, ask.plan, ask.handle, ask.port = backend, plan, handle, port
    return ask


async def test_the_notebook_opens_and_the_time_left_is_known(lab, hub):
    status, page = await lab("lab/tree/work/first/plot.ipynb")
    assert status == 200
    config = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])
    extensions = {item["name"]: item for item in config["federated_extensions"]}
    assert extensions["panhub-time"]["load"] == "static/remoteEntry.js"
    assert config["news"] == {"disabled": True}
    status, script = await lab("lab/extensions/panhub-time/static/remoteEntry.js")
    assert status == 200
    assert "_JUPYTERLAB" in script
    status, answer = await lab("panhub/time")
    assert status == 200
    told = json.loads(answer)
    assert 3400 < told["deadline"] - time.time() < 3601
    assert told["warn_before"] == [1800, 600]
    assert told["sessions_url"] == "/services/panhub/"
    stranger = replace(hub, token="another")
    assert (await asyncio.to_thread(request, stranger, lab.port, "panhub/time"))[0] == 403


async def test_a_kernel_reads_the_data_without_our_paths_and_the_end_is_orderly(lab, hub):
    status, content = await lab("api/contents/work/first/data/RAW_DATA/secret.txt")
    assert (status, json.loads(content)["content"]) == (200, "hc1 RAW_DATA")
    _, content = await lab("api/kernels", {})
    code = (
        "import os, json; assert not any('panhub' in p for p in __import__('sys').path)\n"
        "print(json.dumps([os.environ.get('PYTHONPATH'), os.environ['OMP_NUM_THREADS'],"
        " len(os.sched_getaffinity(0)), os.environ['JUPYTERHUB_USER']]))"
    )
    printed = await execute(lab.port, hub.token, json.loads(content)["id"], code)
    assert json.loads(printed) == [None, "1", 1, "alice"]
    await lab.backend.stop(lab.plan.launch_id, lab.handle)
    usage = await lab.backend.usage(lab.plan.launch_id, lab.handle)
    assert (usage.cause, usage.exit_code) == (EndCause.STOPPED, 0)


@pytest.mark.parametrize("isolation", ["bubblewrap"], indirect=True)
async def test_jupyterlab_shows_the_time_left_and_warns_and_takes_an_extension_in(lab, hub, tmp_path):
    program = shutil.which("chromium") or os.environ.get("PANHUB_TEST_CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = await browser.new_page(extra_http_headers={"Authorization": f"token {hub.token}"})
        foreign = []
        page.on(
            "request", lambda request: foreign.append(request.url) if "127.0.0.1" not in request.url else 0
        )
        await page.goto(f"http://127.0.0.1:{lab.port}/user/alice/lab/tree/work/first/plot.ipynb")
        badge = page.locator("#panhub-time a")
        await expect(badge).to_contain_text("min left", timeout=60_000)
        await expect(badge).to_have_attribute("href", "/services/panhub/")
        soon = datetime.now(UTC) + timedelta(minutes=9)
        await lab.backend.set_deadline(lab.plan.launch_id, lab.handle, soon)
        warning = page.get_by_text("Save your work, or extend the session")
        await expect(warning).to_be_visible(timeout=30_000)
        await expect(page.locator("#panhub-time")).to_have_attribute("data-level", "last")
        await page.screenshot(path=tmp_path / "time-left.png")
        later = datetime.now(UTC) + timedelta(hours=3)
        await lab.backend.set_deadline(lab.plan.launch_id, lab.handle, later)
        await expect(badge).to_contain_text("2 h 59 min left", timeout=30_000)
        await expect(warning).not_to_be_visible()
        await browser.close()
        assert [url for url in foreign if url.startswith("http")] == []


@pytest.mark.usefixtures("bubblewrap")
async def test_an_environment_of_the_persons_own_is_a_kernel(make_backend, notebook_site, run_plan, hub):
    prefix = own_environment(notebook_site.home / ".virtualenvs" / "mine", notebook_site.environment.prefix)
    _, port = await run_plan(make_backend(), notebook_site.plan())
    _, content = await asyncio.to_thread(request, hub, port, "api/kernelspecs")
    shown = json.loads(content)["kernelspecs"]["env-mine"]["spec"]
    assert shown["display_name"] == "Python (mine)"
    _, content = await asyncio.to_thread(request, hub, port, "api/kernels", {"name": "env-mine"})
    code = "import os, sys; print([sys.prefix, os.environ['VIRTUAL_ENV']])"
    printed = await execute(port, hub.token, json.loads(content)["id"], code)
    inside = f"/home/alice/{prefix.relative_to(notebook_site.home)}"
    assert printed == f"{[inside, inside]}\n"
