"""A person's way through a platform on a real Slurm, in a real browser.

Both sides of the form; a wait with its reason; a session with jobs of its own, more time and the
warning before its end; an end that came from outside. Pictures are left in ``build/screenshots``.
"""

from __future__ import annotations

import asyncio
import contextlib
import re

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from hub.demo.slurm.release import SlurmDemoError
from spawners.slurm.models import mark
from tests.support.browsing import PATIENCE_MS, PHONE, Album, chromium, guest
from tests.support.slurm_platform import running_slurm_platform

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(420)]

DOCUMENTED = {"slurm-form": "slurm-form", "slurm-queued": "slurm-queued"}
LOOKS = {
    "": {},
    "-dark": {"color_scheme": "dark"},
    "-phone": {"viewport": PHONE, "has_touch": True},
}


@pytest.fixture(scope="module")
def platform():
    with running_slurm_platform() as platform:
        yield platform


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def album():
    return Album(DOCUMENTED)


def place(page, value):
    """Card of a place."""
    return page.locator(".place", has=page.locator(f"input[value={value}]"))


async def take_all_cpus(cluster):
    """Two jobs of somebody else that leave no CPU for half an hour."""

    def take():
        wishes = {"account": "default", "partition": "cpu", "cpus_per_task": 32, "time": 30}
        jobs = [cluster.submit_for_test("tobi", "sleep 600", **wishes) for _ in range(2)]
        for job in jobs:
            cluster.wait_job(job, "RUNNING")
        return jobs

    return await asyncio.to_thread(take)


@pytest.mark.parametrize("look", LOOKS)
async def test_the_form_says_what_is_free_and_offers_only_what_one_may_use(platform, browser, album, look):
    async with guest(browser, platform, album, **LOOKS[look]) as maja:
        page, summary = maja.page, maja.page.locator("#launch-summary")
        await maja.sign_in("Maja Lindqvist")

        # The simple side: complete at once, with the place that starts first.
        await maja.go("new?input=&template=none&profile=lab")
        await expect(page.get_by_role("radio", name="Soonest")).to_be_checked()
        await expect(place(page, "soonest")).to_contain_text(re.compile("now.*on CPU nodes", re.DOTALL))
        await expect(place(page, "cpu")).to_contain_text(re.compile("64 of 64 free.*2 of 2 nodes", re.DOTALL))
        await expect(place(page, "gpu")).to_contain_text(re.compile("A100.*3 of 3 free.*V100", re.DOTALL))
        await expect(summary.locator("li", has_text="CPU nodes")).to_contain_text("the soonest")
        await maja.choose("size", "medium")
        await expect(summary).to_contain_text("2 CPU · 4 GB")
        await maja.see(f"slurm-form{look}", whole=True)

        # The detail: parts of a node, the person's own accounts; all of it in the address.
        await page.locator("#detail-fields > summary").click()
        async with page.expect_response(re.compile("/parts/summary$")):
            await page.get_by_label("Quarter").check(force=True)
        await expect(summary).to_contain_text("8 CPU · ")
        async with page.expect_response(re.compile("/parts/summary$")):
            await page.get_by_label("Account").select_option("ma5501")
        await expect(summary).to_contain_text("account ma5501")
        offered = await page.get_by_label("Account").locator("option").all_inner_texts()
        assert "sc6120" not in offered
        await maja.see(f"slurm-detail{look}", whole=True)
        await page.goto(page.url)
        await expect(page.locator("#detail-fields")).to_have_attribute("open", "")
        await expect(page.get_by_label("Account")).to_have_value("ma5501")

        # GPUs by type, in the profile that has them.
        await maja.go("new?input=&template=none&profile=lab-gpu&cpus=2&memory_gib=4&gpus=2&gpu_type=a100")
        await expect(summary).to_contain_text("2 A100 GPUs")
        await expect(page.get_by_role("radio", name=re.compile("^V100.*1 of 1 free"))).to_be_visible()
        await maja.see(f"slurm-gpus{look}", whole=True)


async def test_a_number_that_the_place_refuses_is_refused_in_words_beside_the_form(platform, browser, album):
    async with guest(browser, platform, album) as maja:
        page, summary = maja.page, maja.page.locator("#launch-summary")
        await maja.sign_in("Maja Lindqvist")
        await maja.go("new?input=&template=none&profile=lab&place=cpu&cpus=2&memory_gib=4")
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
        async with page.expect_response(re.compile("/parts/summary$")):
            await page.get_by_label("or exactly").fill("33")
        await expect(summary.locator(".refusal")).to_be_visible()
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
        await maja.see("slurm-refused")


async def test_a_session_waits_runs_gets_more_time_and_ends_from_outside(platform, browser, album):
    cluster = platform.cluster
    async with guest(browser, platform, album) as maja:
        page = maja.page
        await maja.sign_in("Maja Lindqvist")

        # 1. All CPU nodes are taken: the form says when, and that it is sooner elsewhere.
        fillers = await take_all_cpus(cluster)
        await maja.go("new?input=&template=none&profile=lab&place=cpu&size=small&hours=0.2")
        # An open form looks again by itself.
        cpu = place(page, "cpu")
        await expect(cpu).to_contain_text(re.compile("in about (25|30) min"), timeout=PATIENCE_MS)
        await expect(place(page, "soonest")).to_contain_text(re.compile("now.*on GPU node", re.DOTALL))
        await maja.see("slurm-form-busy", whole=True)

        # 2. It waits, and says why and until when.
        await page.get_by_role("button", name="Start", exact=True).click()
        await page.wait_for_url("**/launches/*")
        launch_id = page.url.rpartition("/")[2]
        progress = page.locator("#progress")
        await expect(progress).to_contain_text("Queued", timeout=PATIENCE_MS)
        await expect(progress).to_contain_text("Waiting for free resources", timeout=PATIENCE_MS)
        await expect(progress).to_contain_text("Waiting in the queue")
        await expect(progress).to_contain_text(re.compile("Expected start *in about (25|30) min"))
        await maja.see("slurm-queued")
        await maja.go()
        card = page.locator("article.session")
        await expect(card).to_contain_text("Queued")
        await maja.see("slurm-home-queued")

        # 3. It is its turn: it opens by itself.
        await maja.go(f"launches/{launch_id}")
        for job in fillers:
            await asyncio.to_thread(cluster.run, "scancel", str(job))
        await page.wait_for_url("**/user/**", timeout=PATIENCE_MS)

        # 4. Its card: time left with the warning, jobs from inside.
        inner = await asyncio.to_thread(
            cluster.submit_for_test,
            "maja",
            "sleep 300",
            account="ma5501",
            partition="cpu",
            mem=100,
            job_name="fit'<b>peaks</b>",
            wckey=mark(launch_id),
        )
        await asyncio.to_thread(cluster.wait_job, inner, "RUNNING")
        await maja.go()
        await expect(card).to_contain_text(re.compile(r"1\d min left"))
        await expect(card).to_contain_text("It ends soon")
        # An open page asks again by itself.
        await expect(card).to_contain_text("1 job from this session", timeout=PATIENCE_MS)
        await expect(card).to_contain_text("fit'<b>peaks</b>")
        await expect(card).to_contain_text("running")
        await maja.see("slurm-home")

        # 5. More time, at Slurm too.
        await card.locator("summary", has_text="Extend").click()
        await card.get_by_role("button", name="+ 1 h").click()
        await expect(card).to_contain_text(re.compile(r"1 h \d+ min left"))
        job = platform.job_of(launch_id)

        def limit():
            shown = cluster.run("scontrol", "--oneliner", "show", "job", str(job)).stdout
            return re.search(r"TimeLimit=(\S+)", shown)[1]

        for _ in range(50):
            if await asyncio.to_thread(limit) == "01:12:00":
                break
            await asyncio.sleep(0.1)
        assert await asyncio.to_thread(limit) == "01:12:00"

        # 6. Cancelled outside: said so, with Slurm's words, the log, and what to do.
        await asyncio.to_thread(cluster.run, "scancel", str(job))
        notice = page.locator(".notice")
        await expect(notice).to_contain_text("cancelled", timeout=PATIENCE_MS)
        await notice.get_by_role("link", name="Details").click()
        await expect(progress).to_contain_text("Cancelled outside")
        await expect(page.locator("#log")).to_contain_text(f"~/.panhub/logs/{launch_id}.log")
        await expect(page.locator("#log pre")).to_be_visible()
        await maja.see("slurm-cancelled", whole=True)
        await page.get_by_role("link", name="Change something").click()
        await expect(page.get_by_role("radio", name="CPU nodes")).to_be_checked()


async def test_a_wait_is_cancelled_at_once(platform, browser, album):
    cluster = platform.cluster
    await asyncio.to_thread(cluster.cancel_all)
    await take_all_cpus(cluster)
    async with guest(browser, platform, album) as maja:
        page = maja.page
        await maja.sign_in("Maja Lindqvist")
        await maja.go("new?input=&template=none&profile=lab&place=cpu&size=small")
        await page.get_by_role("button", name="Start", exact=True).click()
        progress = page.locator("#progress")
        await expect(progress).to_contain_text("Queued", timeout=PATIENCE_MS)
        await page.locator("summary", has_text="Cancel").click()
        await page.get_by_role("button", name="Cancel the start").click()
        await expect(page.locator("#recent-table tbody tr").first).to_contain_text(
            "Cancelled", timeout=PATIENCE_MS
        )
    await asyncio.to_thread(cluster.cancel_all)


# --- ends that nobody asked for -------------------------------------------------------------------

EATS_MEMORY = """
import os
# Linux takes the largest process first, a notebook's as a rule, and the session goes on: here its server.
open(f"/proc/{os.getppid()}/oom_score_adj", "w").write("1000")
eaten = [bytearray(64 << 20) for _ in range(64)]
"""


def eat_memory(maja, launch):
    """Let a session's kernel take more memory than the session has."""
    with contextlib.suppress(AssertionError, httpx.HTTPError, OSError, TimeoutError):
        maja.open_session(launch).run(EATS_MEMORY, timeout_s=20)


def lose_node(cluster, job):
    """Let the node of a job fail."""
    shown = cluster.checked("scontrol", "--oneliner", "show", "job", str(job))
    node = re.search(r" NodeList=(\S+)", shown)[1]
    cluster.set_node(node, "down")
    return node


ENDS = {
    "out-of-memory": (
        ["Out of memory", "used more memory than its size has", "OUT_OF_MEMORY"],
        "more memory",
    ),
    "node-failed": (["Node failed", "The node of the session failed", "NODE_FAIL on"], "Start again"),
    "preempted": (["Preempted", "a job of higher priority", "PREEMPTED"], "Start again"),
}
"""What the page of an end says, and what it offers."""


@pytest.fixture(scope="module")
def ended(platform):
    """Three sessions that the cluster ended, by how."""
    cluster, maja = platform.cluster, platform.sign_in("maja")
    wishes = {
        "out-of-memory": {"place": "cpu", "resources": {"cpus": 1, "memory_mib": 1024}},
        "node-failed": {"place": "cpu"},
        "preempted": {
            "place": "gpu",
            "resources": {"cpus": 32, "memory_mib": 2048},
            "scheduling": {"qos": "scavenger"},
            "walltime_s": 1800,
        },
    }
    launches = {how: maja.launch(**wish)["id"] for how, wish in wishes.items()}
    runs = {how: maja.wait_for(each, "running", timeout_s=90) for how, each in launches.items()}
    eat_memory(maja, runs["out-of-memory"])
    maja.wait_for(launches["out-of-memory"], "ended", timeout_s=60)
    node = lose_node(cluster, platform.job_of(launches["node-failed"]))
    wishes = {"account": "default", "qos": "normal", "partition": "gpu", "cpus_per_task": 32, "mem": 100}
    other = cluster.submit_for_test("yuki", "sleep 600", **wishes)
    for each in launches.values():
        maja.wait_for(each, "ended", timeout_s=60)
    cluster.checked("scancel", str(other))
    with contextlib.suppress(SlurmDemoError):  # it may have come back by itself (ReturnToService)
        cluster.set_node(node, "resume")
    return launches


@pytest.mark.parametrize("how", ENDS)
async def test_an_end_that_nobody_asked_for_says_why_and_what_to_do(platform, browser, album, ended, how):
    texts, offered = ENDS[how]
    async with guest(browser, platform, album) as maja:
        page = maja.page
        await maja.sign_in("Maja Lindqvist")
        await maja.go(f"launches/{ended[how]}")
        for text in texts:
            await expect(page.locator("main")).to_contain_text(text)
        await expect(page.locator("#log")).to_contain_text(f"~/.panhub/logs/{ended[how]}.log")
        await expect(page.locator("main").get_by_text(offered).first).to_be_visible()
        await maja.see(f"slurm-{how}", whole=True)
