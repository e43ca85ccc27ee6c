"""A person's way through a platform on a real Kubernetes, in a real browser.

The form with what is free, a start that says what it waits for, JupyterLab in a pod, its card, the charge;
and an end that came from the cluster. Pictures are left in ``build/screenshots``.
"""

from __future__ import annotations

import asyncio
import re

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support.browsing import PATIENCE_MS, PHONE, Album, chromium, guest
from tests.support.kubernetes import cluster
from tests.support.kubernetes_platform import running_kubernetes_platform

__all__ = ["cluster"]

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(420)]

DOCUMENTED = {"kubernetes-form": "kubernetes-form", "kubernetes-home": "kubernetes-home"}


@pytest.fixture(scope="module")
def platform(cluster):
    with running_kubernetes_platform(cluster) as platform:
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


async def test_a_session_in_a_pod_from_the_form_to_its_charge(platform, browser, album):
    person = await asyncio.to_thread(platform.sign_in, "maja")
    async with guest(browser, platform, album) as maja:
        page = maja.page
        await maja.sign_in("Maja Lindqvist")

        # 1. The form: what is free, what is kept ready, in people's words.
        await maja.go("new?input=dataset:ds-ma5501-lab6-series&profile=lab&place=pods")
        await expect(place(page, "pods")).to_contain_text(re.compile("Cluster.*2 of 2", re.DOTALL))
        await maja.see("kubernetes-form", whole=True)

        # 2. The start says its steps, and opens the session by itself.
        await page.get_by_role("button", name="Start", exact=True).click()
        await page.wait_for_url("**/launches/*")
        launch_id = page.url.rpartition("/")[2]
        await expect(page.locator("#progress")).to_contain_text("Cluster")
        await maja.see("kubernetes-progress")
        await page.wait_for_url("**/user/**", timeout=2 * PATIENCE_MS)
        await maja.wait_for_lab()
        await expect(page.locator(".jp-Notebook")).to_contain_text("LaB6_series.h5")
        await maja.album.add(page, "kubernetes-lab")

        # 3. Its card names the place and the pod.
        await maja.go()
        card = page.locator("article.session")
        await expect(card).to_contain_text("Cluster")
        await expect(card).to_contain_text(f"Pod session-{launch_id} in {platform.site.namespace}")
        await maja.see("kubernetes-home")

        # 4. Stopped, it is charged.
        await card.locator("summary", has_text="Stop").click()
        await card.get_by_role("button", name="Stop now").click()
        row = page.locator("#recent-table tbody tr").first
        await expect(row).to_contain_text("Ended by you", timeout=PATIENCE_MS)
        await expect(row).to_contain_text("CPU-h")
        usage = (await asyncio.to_thread(person.get, launch_id))["usage"]
        assert usage["elapsed_seconds"] > 0


async def test_an_end_by_the_cluster_says_why_and_what_to_do(platform, browser, album):
    maja = await asyncio.to_thread(platform.sign_in, "maja")
    launch = await asyncio.to_thread(maja.launch)
    await asyncio.to_thread(maja.wait_for, launch["id"], "running", timeout_s=120)
    (pod,) = await asyncio.to_thread(platform.pods_of, launch["id"])
    name, namespace = pod["metadata"]["name"], platform.site.namespace
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    await asyncio.to_thread(platform.cluster.api.request, "POST", path, eviction)
    await asyncio.to_thread(maja.wait_for, launch["id"], "ended", timeout_s=90)
    async with guest(browser, platform, album, viewport=PHONE, has_touch=True) as person:
        page = person.page
        await person.sign_in("Maja Lindqvist")
        await person.go(f"launches/{launch['id']}")
        await expect(page.locator("#progress")).to_contain_text(re.compile("evicted|node", re.IGNORECASE))
        await person.see("kubernetes-evicted-phone", whole=True)
