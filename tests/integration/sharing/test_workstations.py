"""The list of workstations, as a person's program asks for it."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.support.platform import Platform, Visitor
from tests.support.sharing_platform import STATION

SignIn = Callable[[str], Visitor]


def test_listed_to_whom_it_is_open_and_to_nobody_else(person: SignIn) -> None:
    reply = person("helene").api("GET", "/workstations")
    assert reply.status_code == 200
    assert reply.json() == {
        "items": [
            {
                "desktop": STATION,
                "title": "ID22 control",
                "instrument": "id22",
                "proposal": "",
                "role": "owner",
                "opens_at": None,
                "closes_at": None,
                "call_url": None,
            }
        ]
    }
    for username in ("rui", "sam", "maja"):
        assert person(username).api("GET", "/workstations").json() == {"items": []}


def test_strangers_are_told_nothing(platform: Platform) -> None:
    address = f"{platform.settings.service.url}/services/panhub/api/v1/workstations"
    assert httpx.get(address).status_code in {401, 403}
