"""What must be true of a platform once a session is over, or still runs, whatever happened meanwhile."""

from __future__ import annotations

from typing import Any

import httpx

from hub.database import Database
from quota.ledger import Ledger
from quota.policy import Policy
from tests.support.platform import Platform, Visitor, wait_until

_STATES = ("requested", "planned", "held", "submitted", "running", "ending", "ended", "refused")


def state_of(platform: Platform, launch_id: str) -> str:
    """State of a launch by the session table."""
    rows = platform.database("SELECT state FROM launches WHERE id = :id", id=launch_id)
    return str(rows[0][0]) if rows else ""


def wait_for_state(platform: Platform, launch_id: str, *states: str) -> str:
    """First of the states that a launch is seen in; looked for as fast as the database tells."""
    last = max(_STATES.index(state) for state in states)

    def look() -> str:
        found = state_of(platform, launch_id)
        assert not found or _STATES.index(found) <= last, f"{launch_id} is {found} already"
        return found if found in states else ""

    return wait_until(look, f"{launch_id} is never {states}")


def supervisor_of(platform: Platform, launch_id: str) -> dict[str, Any]:
    """Pid and start time of a session's supervisor, as the session table has them."""
    handle = platform.handle_of(launch_id)
    assert handle is not None, f"{launch_id} was not started"
    return handle


def is_reachable(visitor: Visitor, launch: dict[str, Any]) -> bool:
    """Whether the session itself answers through the proxy (the hub answers for one that it lost)."""
    url = f"{visitor.platform.url}/user/{visitor.username}/{launch['server_name']}/api"
    try:
        reply = httpx.get(url, timeout=10)
    except httpx.HTTPError:
        return False
    return reply.status_code == 200 and reply.json().keys() == {"version"}


def wait_until_reachable(visitor: Visitor, launch: dict[str, Any]) -> None:
    """Wait until the session answers through the proxy."""
    what = f"{launch['id']} is not reachable: {visitor.platform.log('hub')}"
    wait_until(lambda: is_reachable(visitor, launch), what)


def servers(platform: Platform, username: str) -> dict[str, Any]:
    """All of a person's servers in the hub's list, stopped ones too."""
    reply = httpx.get(
        f"{platform.settings.hub.api_url}/users/{username}",
        params={"include_stopped_servers": "1"},
        headers={"Authorization": f"token {platform.service_token()}"},
        timeout=30,
    )
    reply.raise_for_status()
    found: dict[str, Any] = reply.json()["servers"]
    return found


def session_tokens(platform: Platform, server_name: str) -> list[str]:
    """Notes of the hub's tokens that belong to a server."""
    from sqlalchemy import create_engine, text

    engine = create_engine(platform.settings.hub.database)
    try:
        with engine.connect() as connection:
            rows = connection.execute(
                text("SELECT note FROM api_tokens WHERE note LIKE :note"), {"note": f"%/{server_name}/%"}
            )
            return [str(row[0]) for row in rows]
    finally:
        engine.dispose()


def assert_books_are_right(platform: Platform) -> None:
    """Balances are the sums of their entries, and nothing is held for a launch that is over."""
    database = Database(platform.settings.database.url)
    try:
        assert database.run_now(Ledger(Policy(platform.settings.quota)).audit) == []
    finally:
        database.close()
    held = platform.database(
        "SELECT h.launch_id, l.state FROM quota_holds h LEFT JOIN launches l ON l.id = h.launch_id"
        " WHERE h.settled_at IS NULL AND (l.state IS NULL OR l.state IN ('ended', 'refused'))"
    )
    assert held == []


def charges(platform: Platform, launch_id: str, resource: str = "cpu_seconds") -> list[int]:
    """Every charge of a launch for a resource."""
    rows = platform.database(
        "SELECT e.used FROM quota_entries e JOIN quota_accounts a ON a.id = e.account_id"
        " WHERE e.launch_id = :id AND e.kind = 'charge' AND a.resource = :resource",
        id=launch_id,
        resource=resource,
    )
    return [int(row[0]) for row in rows]


def assert_nothing_is_left(visitor: Visitor, launch: dict[str, Any]) -> None:
    """The launch is over: settled once, no process, no server in the hub's list, no token."""
    platform = visitor.platform
    ended = visitor.wait_for(launch["id"], "ended", "refused")
    usage = ended["usage"]
    expected = [usage["elapsed_seconds"] * usage["cpus"]] if usage and usage["elapsed_seconds"] else []
    assert charges(platform, launch["id"]) == expected
    wait_until(lambda: not platform.session_processes(launch["id"]), "a process is left")
    name = launch["server_name"]
    wait_until(
        lambda: name not in servers(platform, visitor.username), f"{name} is left: {platform.log('hub')}"
    )
    assert session_tokens(platform, name) == []
    assert_books_are_right(platform)
