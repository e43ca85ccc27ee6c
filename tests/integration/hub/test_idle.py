"""Sessions on a real hub: one whose tab is only open is warned and ended, one that computes goes on."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.afterwards import assert_books_are_right
from tests.support.platform import Platform, running_platform

END_S, WARN_S = 32, 16


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that ends what is not used for half a minute."""
    folder = tmp_path_factory.mktemp("idle") / "state"
    sessions = {"idle_end_s": END_S, "idle_warn_s": WARN_S}
    with running_platform(folder, sessions=sessions) as platform:
        yield platform
        assert_books_are_right(platform)


@pytest.mark.timeout(240)
def test_an_open_tab_does_not_keep_a_session_and_a_busy_kernel_does(platform: Platform) -> None:
    maja, tobi = platform.sign_in("maja"), platform.sign_in("tobi")
    asked = [(maja, maja.launch(walltime_s=3600)), (tobi, tobi.launch(walltime_s=3600))]
    idle, busy = (person.wait_for(one["id"], "running") for person, one in asked)
    tab, work = maja.open_session(idle), tobi.open_session(busy)
    began = time.monotonic()

    def compute() -> None:
        with contextlib.suppress(Exception):  # it is cut off at the end
            work.run("import time; time.sleep(100)", timeout_s=150)

    computing = threading.Thread(target=compute, daemon=True)
    computing.start()

    warned_at, said, told = 0.0, "", 0.0
    while (seen := maja.get(idle["id"]))["state"] == "running":
        assert time.monotonic() - began < 120, platform.log("service")
        # What a tab of JupyterLab asks for again and again.
        tab.get("api/kernels")
        answer = tab.get("panhub/time")
        if seen["idle_ends_at"] and not warned_at:
            warned_at, said = time.monotonic(), maja.page().text
        if answer.status_code == 200:
            told = answer.json()["idle_ends_at"] or told
        time.sleep(0.5)

    assert warned_at, "it was ended without a warning"
    assert "Nobody uses it" in said
    assert told, "its own page was not told"
    assert time.monotonic() - warned_at > WARN_S - 1
    ended = maja.wait_for(idle["id"], "ended")
    assert (ended["end_reason"], ended["idle_ends_at"]) == ("idle", None)
    assert "Nobody used the session" in ended["end_message"]
    assert "Not used" in maja.page().text
    going_on = tobi.get(busy["id"])
    assert (going_on["state"], going_on["idle_ends_at"]) == ("running", None)
    tobi.api("DELETE", f"/launches/{busy['id']}")
    tobi.wait_for(busy["id"], "ended")
    computing.join(30)
