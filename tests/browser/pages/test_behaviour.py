"""What the pages' scripts do, on sample pages in a real browser."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_times_are_local_with_the_zone_on_hover(page, site):
    await page.goto(f"{site}/home")
    time = page.locator("#recent time").first
    await expect(time).to_have_attribute("title", re.compile("CET|CEST|GMT"))
    assert "UTC" not in await time.inner_text()


async def test_the_theme_follows_the_system_until_it_is_chosen_and_is_kept(page, site):
    await page.emulate_media(color_scheme="dark")
    await page.goto(f"{site}/home")
    html = page.locator("html")
    await expect(html).to_have_attribute("data-bs-theme", "dark")
    await page.get_by_role("button", name="Switch between light and dark").click()
    await expect(html).to_have_attribute("data-bs-theme", "light")
    assert await page.evaluate("localStorage.getItem('jupyterhub-bs-theme')") == "light"
    await page.goto(f"{site}/usage")
    await expect(html).to_have_attribute("data-bs-theme", "light")


async def test_stop_asks_in_place_and_escape_goes_back(page, site):
    await page.goto(f"{site}/home")
    card = page.locator("article.session").first
    stop = card.locator("summary", has_text="Stop")
    await stop.focus()
    await page.keyboard.press("Enter")
    await expect(card.get_by_role("button", name="Stop now")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(card.get_by_role("button", name="Stop now")).to_be_hidden()
    await expect(stop).to_be_focused()


async def test_only_one_question_is_open_at_a_time(page, site):
    await page.goto(f"{site}/home")
    card = page.locator("article.session").first
    await card.locator("summary", has_text="Extend").click()
    await card.locator("summary", has_text="Stop").click()
    await expect(page.locator("details[data-popover][open]")).to_have_count(1)
    await page.locator("h1").click()
    await expect(page.locator("details[data-popover][open]")).to_have_count(0)


async def _hold_stream(page, part):
    """Let the stream of changes name ``part`` once the returned event is set."""
    release = asyncio.Event()

    async def answer(route):
        await release.wait()
        await route.fulfill(content_type="text/event-stream", body=f"event: {part}\ndata: 1\n\n")

    await page.route("**/events?*", answer)
    return release


async def test_what_changed_is_fetched_again_without_reload(page, site):
    (await _hold_stream(page, "sessions")).set()
    async with page.expect_request(re.compile("/parts/sessions$")) as asked:
        await page.goto(f"{site}/home")
    assert (await asked.value).headers["x-xsrftoken"] == "sample-xsrf-token"


async def test_a_part_in_which_a_question_is_open_waits_for_the_answer(page, site):
    release = await _hold_stream(page, "sessions")
    await page.goto(f"{site}/home")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/parts/" in request.url else None)
    await page.locator("article.session").first.locator("summary", has_text="Stop").click()
    release.set()
    await page.wait_for_timeout(500)
    assert asked == []
    async with page.expect_request(re.compile("/parts/sessions$")):
        await page.keyboard.press("Escape")


async def test_a_filter_hides_rows_and_is_in_the_address(page, site):
    await page.goto(f"{site}/home")
    await page.get_by_label("Filter recent sessions").fill("bone")
    await expect(page.locator("#recent-table tbody tr:visible")).to_have_count(1)
    assert page.url.endswith("?q=bone")
    await page.get_by_label("Filter recent sessions").fill("nothing like it")
    await expect(page.get_by_text("No recent session matches")).to_be_visible()


async def test_a_table_sorts_by_its_headings(page, site):
    await page.goto(f"{site}/home")
    await page.locator("#recent-table").get_by_role("button", name="Ran").click()
    await expect(page.locator("#recent-table th[aria-sort=ascending]")).to_have_count(1)
    first = page.locator("#recent-table tbody tr").first
    await expect(first).to_contain_text("sample_01")
    await page.locator("#recent-table").get_by_role("button", name="Ran").click()
    await expect(first).to_contain_text("Look around")


async def test_a_choice_goes_into_the_address_and_asks_the_server_what_would_start(page, site):
    await page.goto(f"{site}/new")
    async with page.expect_request(re.compile("/parts/summary$")) as asked:
        await page.get_by_label("L", exact=False).and_(page.locator("[name=size][value=l]")).check(force=True)
    request = await asked.value
    assert request.method == "POST"
    assert request.headers["x-xsrftoken"] == "sample-xsrf-token"
    assert "size=l" in (request.post_data or "")
    assert "_xsrf" not in page.url
    assert "size=l" in page.url
    await expect(page.locator("#launch-summary")).to_contain_text("Not enough CPU-hours")
    await expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()


async def test_another_data_set_reshapes_the_form(page, site):
    await page.goto(f"{site}/new")
    await page.get_by_text("Choose other data").click()
    async with page.expect_request(re.compile(r"/parts/form\?.*input=dataset%3Ama1234-s2")):
        await page.get_by_label("sample_02").check()


async def test_an_interface_is_chosen_before_its_profile(page, site):
    await page.goto(f"{site}/new")
    async with page.expect_request(re.compile(r"/parts/form\?.*interface=desktop.*&chosen=interface$")):
        await page.get_by_label("Desktop").check()


async def test_data_is_searched_while_typing_and_enter_starts_nothing(page, site):
    await page.goto(f"{site}/new")
    await page.get_by_text("Choose other data").click()
    async with page.expect_request(re.compile(r"/parts/data\?q=ceria$")):
        await page.get_by_label("Search data").fill("ceria")
    await page.keyboard.press("Enter")
    assert "/new" in page.url


async def _field(page, name):
    return await page.locator(f"input[type=number][name={name}]").input_value()


async def _asked(page, action):
    """Fields of the dry run that an action of the form asks for."""
    async with page.expect_request(re.compile("/parts/summary$")) as asked:
        await action
    return parse_qs((await asked.value).post_data or "")


async def test_a_part_of_a_node_makes_a_size_of_ones_own_with_its_memory(page, site):
    await page.goto(f"{site}/new-slurm")
    await page.locator("#detail-fields > summary").click()
    fields = await _asked(page, page.get_by_label("Quarter").check(force=True))
    assert (fields["size"], fields["cpus"], fields["memory_gib"]) == (["own"], ["16"], ["62"])
    await expect(page.locator("#size-own")).to_be_checked()
    assert "size=own" in page.url


async def test_a_number_goes_before_the_part_and_a_part_before_the_number(page, site):
    await page.goto(f"{site}/new-detail")
    fields = await _asked(page, page.get_by_label("or exactly").fill("12"))
    assert fields["cpus"] == ["12"]
    fields = await _asked(page, page.get_by_label("Half").check(force=True))
    assert fields["cpus"] == ["32"]
    assert await _field(page, "cpus") == ""


async def test_a_size_of_ones_own_begins_with_the_size_before(page, site):
    await page.goto(f"{site}/new-slurm")
    await _asked(page, page.locator("[name=size][value=l]").check(force=True))
    fields = await _asked(page, page.locator("#size-own").check(force=True))
    assert (fields["cpus"], fields["memory_gib"], fields["gpus"]) == (["4"], ["8"], ["0"])
    await expect(page.locator("#detail-fields")).to_have_attribute("open", "")


async def test_a_type_of_gpu_asks_for_one_and_a_typed_time_for_no_other(page, site):
    await page.goto(f"{site}/new-slurm")
    await page.locator("#detail-fields > summary").click()
    await _asked(page, page.locator("#gpus-0").check(force=True))
    fields = await _asked(page, page.get_by_role("radio", name="H100").check(force=True))
    assert (fields["gpus"], fields["gpu_type"]) == (["1"], ["h100"])
    fields = await _asked(page, page.get_by_label("Exact time").fill("1.5"))
    assert fields["hours"] == ["1.5"]
    assert "walltime_s" not in fields
    fields = await _asked(page, page.locator("[name=walltime_s][value='3600']").check(force=True))
    assert fields["walltime_s"] == ["3600"]
    assert "hours" not in fields


async def test_what_is_free_is_looked_up_again_without_losing_what_was_typed(page, site):
    await page.clock.install()
    await page.goto(f"{site}/new-slurm")
    await page.locator("#detail-fields > summary").click()
    await page.locator("#more-fields > summary").click()
    await page.locator("#display-name").fill("half a na")
    await page.clock.run_for(1_000)
    cpu = page.locator(".place", has=page.locator("input[value=cpu]"))
    await expect(cpu).to_contain_text("412 jobs waiting")  # asked again after the change
    async with page.expect_response(re.compile(r"/parts/places\?.*place=soonest")):
        await page.clock.run_for(16_000)
    await expect(page.locator("#display-name")).to_be_focused()
    await expect(page.locator("#display-name")).to_have_value("half a na")
    await expect(page.locator("#detail-fields")).to_have_attribute("open", "")
    await expect(page.locator(".place input[value=soonest]")).to_be_checked()


async def test_a_whole_card_takes_its_place_and_one_that_is_closed_cannot_be_taken(page, site):
    await page.goto(f"{site}/new-slurm")
    gpu = page.locator(".place", has=page.locator("input[value=gpu]"))
    async with page.expect_request(re.compile(r"/parts/form\?.*place=gpu")):
        await gpu.get_by_text("12 jobs waiting").click(force=True)
    await page.goto(f"{site}/new-slurm")
    await expect(page.get_by_role("radio", name="Power nodes")).to_be_disabled()
    await expect(page.get_by_role("radio", name="Power nodes")).to_have_accessible_description(
        re.compile("is not built for ppc64le")
    )


async def test_a_launch_may_go_elsewhere_and_who_pays_there_is_said_before_the_click(page, site):
    await page.route("**/parts/places?*", lambda route: route.fulfill(content_type="text/html", body=""))
    await page.goto(f"{site}/new-kubernetes")
    elsewhere = page.get_by_label("Or elsewhere, if it starts there sooner")
    await expect(elsewhere).to_be_checked()
    summary = page.locator(".summary-card")
    await expect(summary).to_contain_text("Kubernetes (instead of CPU nodes)")
    await expect(summary).to_contain_text("Facility account cloud")
    await expect(summary.locator(".other-place").first).to_contain_text("Proposal ma1234")
    await elsewhere.focus()
    fields = await _asked(page, page.keyboard.press("Space"))
    assert "overflow" not in fields
    assert "overflow" not in page.url
    await elsewhere.focus()
    fields = await _asked(page, page.keyboard.press("Space"))
    assert (fields["overflow"], fields["place"]) == (["true"], ["cpu"])
    assert "overflow=true" in page.url


async def test_a_place_without_the_data_cannot_be_taken_and_says_why(page, site):
    await page.goto(f"{site}/new-kubernetes")
    away = page.get_by_role("radio", name="Partner cloud")
    await expect(away).to_be_disabled()
    await expect(away).to_have_accessible_description(re.compile("are not on its storage"))
    await page.goto(f"{site}/new-away")
    way_out = page.get_by_role("link", name="Take CPU nodes")
    await expect(way_out).to_have_attribute("href", re.compile(r"/new\?.*place=cpu"))


async def test_places_are_taken_by_keyboard(page, site):
    await page.goto(f"{site}/new-slurm")
    await page.get_by_role("radio", name="Soonest").focus()
    async with page.expect_request(re.compile(r"/parts/form\?.*place=cpu")):
        await page.keyboard.press("ArrowDown")


async def test_a_start_is_said_in_local_time_and_goes_on_with_it(page, site):
    await page.route(re.compile("/events$|/parts/launches/"), lambda _: None)  # it waits
    await page.goto(f"{site}/progress-queued")
    start = page.locator("#progress time[data-show=start]")
    expected = datetime.fromisoformat(await start.get_attribute("datetime"))
    await page.clock.install(time=expected - timedelta(minutes=24))  # the sample's moment, however late it is
    await page.goto(f"{site}/progress-queued")
    await expect(start).to_have_text("in about 25 min")
    await page.clock.run_for(600_000)
    await expect(start).to_have_text("in about 15 min")


async def test_what_waits_is_asked_about_again(page, site):
    await page.route("**/events*", lambda _: None)
    await page.clock.install()
    await page.goto(f"{site}/home-slurm")
    async with page.expect_request(re.compile("/parts/sessions$")):
        await page.clock.run_for(16_000)
    await page.goto(f"{site}/progress-queued")
    async with page.expect_request(re.compile("/parts/launches/")):
        await page.clock.run_for(16_000)


async def test_the_end_of_the_time_is_warned_of_while_the_page_stays_open(page, site):
    await page.clock.install()
    await page.goto(f"{site}/home-slurm")
    card = page.locator("article.session").first
    warning = card.get_by_text("It ends soon")
    await expect(warning).to_be_hidden()
    await page.clock.run_for(2 * 3600 * 1000)
    await expect(warning).to_be_visible()


async def test_on_a_phone_the_summary_is_a_bar_that_opens(page, site):
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(f"{site}/new")
    start = page.get_by_role("button", name="Start", exact=True)
    await expect(start).to_be_in_viewport()
    toggle = page.get_by_role("button", name="What will start")
    await expect(toggle).to_have_attribute("aria-expanded", "false")
    await toggle.click()
    await expect(page.locator(".summary-body")).to_be_visible()
    await expect(start).to_be_in_viewport()


async def test_a_session_that_becomes_ready_opens_by_itself(page, site):
    await page.route("**/user/maja/**", lambda route: route.fulfill(body="the session"))
    await page.goto(f"{site}/progress")
    await page.wait_for_url("**/user/maja/azimuthal-lab6/lab")


async def test_a_session_that_was_ready_before_does_not_open_by_itself(page, site):
    await page.goto(f"{site}/progress-ready")
    await page.wait_for_timeout(1500)
    assert page.url.endswith("/progress-ready")


async def test_an_allocation_is_previewed_while_typing(page, site):
    await page.goto(f"{site}/operate")
    await page.get_by_role("link", name="Edit ma1234, CPU-hours").click()
    form = page.locator("tr.edit-row form")
    await expect(form.locator(".preview")).to_contain_text("Type a new limit")
    await form.get_by_label("New limit").fill("150")
    await expect(form.locator(".preview")).to_contain_text("The limit rises")
    await expect(form.get_by_label("New limit")).to_have_value("150")


async def test_the_plot_is_drawn_under_the_policy_and_the_table_folds(page, site):
    await page.goto(f"{site}/usage")
    await expect(page.locator("#plot canvas")).to_be_visible()
    await expect(page.locator("#use-by-day")).to_be_hidden()
    await page.get_by_text("Values as a table").click()
    await expect(page.locator("#use-by-day")).to_be_visible()
