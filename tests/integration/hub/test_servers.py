"""What is in the hub's list, what its pages and REST API start, and for how long a session's token works."""

from __future__ import annotations

import os
import signal
from typing import Any

import httpx
import pytest

from tests.support.afterwards import (
    assert_nothing_is_left,
    servers,
    wait_for_state,
    wait_until_reachable,
)
from tests.support.hubs import newest, server_pids, start_by_rest, until_gone
from tests.support.platform import Platform, Visitor

pytestmark = pytest.mark.timeout(240)


def hub_log(platform: Platform) -> str:
    """All that the hub has logged."""
    return (platform.state / "logs" / "hub.log").read_text(errors="replace")


def use_token(platform: Platform, token: str) -> int:
    """Status that the hub answers a token with."""
    reply = httpx.get(
        f"{platform.settings.hub.api_url}/user", headers={"Authorization": f"token {token}"}, timeout=30
    )
    return reply.status_code


def token_of(visitor: Visitor, launch: dict[str, Any]) -> str:
    """The session's own token, as its server has it."""
    session = visitor.open_session(launch)
    return session.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])").strip()


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"profile": "nothing"}, 404, "profile_unknown"),
        ({"walltime_s": 99 * 86400}, 400, "invalid_request"),
        ({"walltime_s": 86400}, 400, "walltime_exceeded"),
        ({"cpus": 9999}, 400, "invalid_request"),
    ],
)
def test_a_refusal_has_a_code_and_a_sentence_and_no_traceback_and_leaves_no_server(
    platform: Platform, maja: Visitor, options: dict[str, Any], status: int, code: str
) -> None:
    before = len(hub_log(platform))
    reply = maja.hub("POST", "/users/maja/servers/refused", json={"user_options": options})
    assert (reply.status_code, reply.headers["X-PanHub-Code"]) == (status, code)
    sentence = reply.json()["message"]
    assert sentence[0].isupper() or sentence.split(":")[0] in options
    assert sentence.endswith(".")
    assert "Traceback" not in hub_log(platform)[before:]
    assert newest(maja, "refused")["problem"]["code"] == code, "kept for every page"
    until_gone(maja, "refused")


def test_a_session_that_ends_by_itself_leaves_no_server(platform: Platform, maja: Visitor) -> None:
    launch = start_by_rest(maja, "brief")
    for pid in server_pids(launch["id"]):
        os.kill(pid, signal.SIGTERM)
    assert maja.wait_for(launch["id"], "ended")["end_reason"] == "exited"
    assert_nothing_is_left(maja, launch)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("PATCH", "/users/maja/servers/kept", "change_refused"),
        ("PUT", "/users/maja/servers/aside", "create_refused"),
        ("POST", "/users/maja/server", "default_server_refused"),
        ("POST", "/users/maja/servers/", "default_server_refused"),
    ],
)
def test_nothing_is_renamed_changed_or_started_without_a_name(
    platform: Platform, maja: Visitor, method: str, path: str, code: str
) -> None:
    before = servers(platform, "maja").keys()
    reply = maja.hub(method, path, json={"name": "other"} if method == "PATCH" else {})
    assert 400 <= reply.status_code < 500
    assert reply.headers["X-PanHub-Code"] == code
    assert servers(platform, "maja").keys() <= before


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/hub/home", "/services/panhub/"),
        ("/hub/spawn", "/services/panhub/new"),
        ("/hub/spawn/maja", "/services/panhub/new"),
        ("/hub/spawn/maja/quick?profile=lab", "/services/panhub/new"),
        ("/hub/spawn?opt-dataset=10.5/x&walltime_s=60", "/services/panhub/new?dataset=10.5%2Fx"),
    ],
)
def test_the_hub_s_own_pages_lead_to_ours_and_start_nothing(
    platform: Platform, maja: Visitor, path: str, where: str
) -> None:
    before = len(maja.api("GET", "/launches").json()["items"])
    reply = maja.client.get(path, follow_redirects=False)
    assert (reply.status_code, reply.headers["Location"]) == (302, where)
    assert len(maja.api("GET", "/launches").json()["items"]) == before


def test_a_session_s_token_ends_with_it_also_after_a_restart_of_the_hub(
    platform: Platform, maja: Visitor
) -> None:
    early = maja.launch()
    wait_for_state(platform, early["id"], "submitted")
    platform.restart("hub")  # before it has saved anything of that server
    late = maja.wait_for(maja.launch()["id"], "running")
    early = maja.wait_for(early["id"], "running", timeout_s=90)
    for launch in (early, late):
        wait_until_reachable(maja, launch)
    tokens = [token_of(maja, launch) for launch in (early, late)]
    assert [use_token(platform, token) for token in tokens] == [200, 200]
    platform.restart("hub")
    for launch in (early, late):
        wait_until_reachable(maja, launch)
    assert [use_token(platform, token) for token in tokens] == [200, 200]
    maja.api("DELETE", f"/launches/{early['id']}")
    assert_nothing_is_left(maja, early)
    assert use_token(platform, tokens[0]) == 403
    assert maja.hub("DELETE", f"/users/maja/servers/{late['server_name']}").status_code in {202, 204}
    assert_nothing_is_left(maja, late)
    assert use_token(platform, tokens[1]) == 403


def test_the_hub_neither_limits_starts_nor_gives_up_a_queue(platform: Platform) -> None:
    from traitlets.config import Config

    from hub.hubconfig import configure

    c = Config()
    configure(c, platform.settings)
    assert c.JupyterHub.concurrent_spawn_limit == 0
    assert c.PanSpawner.start_timeout > 365 * 24 * 3600
    assert not c.JupyterHub.cleanup_servers
    assert not c.ConfigurableHTTPProxy.should_start
    assert all("command" not in service for service in c.JupyterHub.services)


def test_what_a_site_has_set_before_stays(platform: Platform) -> None:
    from traitlets.config import Config

    from hub.hubconfig import configure

    c = Config()
    c.JupyterHub.extra_handlers = [("/site", object)]
    c.JupyterHub.services = [{"name": "site"}]
    c.JupyterHub.load_roles = [{"name": "site"}]
    c.JupyterHub.template_paths = ["/site"]
    c.JupyterHub.tornado_settings = {"headers": {"X-Site": "1"}}
    configure(c, platform.settings)
    assert c.JupyterHub.extra_handlers == [("/site", object)]
    assert [service["name"] for service in c.JupyterHub.services] == ["site", "panhub"]
    assert [role["name"] for role in c.JupyterHub.load_roles] == ["site", "panhub-service"]
    assert c.JupyterHub.template_paths[0] == "/site"
    assert set(c.JupyterHub.tornado_settings) == {"headers", "cookie_options"}
