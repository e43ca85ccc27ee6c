"""A visitor at the door of a session: what the hub shows before the way there is entered."""

from __future__ import annotations

import httpx
import pytest

from hub.demo.visitor import VisitError, Visitor

_SESSION = {"server_name": "s-1"}
_BASE = "/user/maja/s-1/"
_PENDING = "/hub/spawn-pending/maja/s-1"


def _visitor(*, opens_after: int, status: int = 200) -> tuple[Visitor, list[str]]:
    """One whose hub sends to its page of progress that many times; and the paths that are asked."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        asked.append(path)
        if path == _PENDING:
            return httpx.Response(200, headers={"Set-Cookie": "_xsrf=hub; Path=/hub/"})
        if asked.count(path) <= opens_after:
            return httpx.Response(302, headers={"Location": _PENDING})
        return httpx.Response(status, headers={"Set-Cookie": f"_xsrf=session; Path={_BASE}"})

    visitor = Visitor("http://hub.example", "maja")
    visitor._client = httpx.AsyncClient(
        base_url=visitor.url, follow_redirects=True, transport=httpx.MockTransport(answer)
    )
    return visitor, asked


@pytest.mark.parametrize("pages", [0, 1, 3])
async def test_the_hubs_page_of_progress_is_waited_for(monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    monkeypatch.setattr("hub.demo.visitor._LOOK_S", 0)
    visitor, asked = _visitor(opens_after=pages)
    base, headers = await visitor._open(_SESSION)
    await visitor.aclose()
    assert (base, headers["X-XSRFToken"]) == (_BASE, "session")
    assert asked.count(_PENDING) == pages


async def test_a_session_that_never_opens_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.demo.visitor._LOOK_S", 0.01)
    monkeypatch.setattr("hub.demo.visitor._OPENS_S", 0.2)
    visitor, _ = _visitor(opens_after=1_000_000)
    with pytest.raises(VisitError, match=f"does not open: the hub shows {_PENDING}"):
        await visitor._open(_SESSION)
    await visitor.aclose()


async def test_a_session_that_answers_with_an_error_is_told() -> None:
    visitor, _ = _visitor(opens_after=0, status=503)
    with pytest.raises(VisitError, match="answered 503"):
        await visitor._open(_SESSION)
    await visitor.aclose()
