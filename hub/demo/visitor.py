"""A person with a browser, without the browser: sign-in, API calls, and a notebook that is run.

Used by `panhub smoke`. It goes the way that a browser goes: the provider's page and its form, the
hub's redirects, the session's own OAuth, the kernel's websocket.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import httpx
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from hub.settings import SERVICE_PREFIX

_CELL_TIMEOUT_S = 180.0

_OPENS_S = 60.0
"""Time for the hub to enter the way to a session that answers. Until then it shows a page of progress, which
a browser leaves by itself."""

_LOOK_S = 0.1


class VisitError(Exception):
    """Something that a person does did not work; the text says what."""


@dataclass(frozen=True, slots=True)
class CellRun:
    """What running a notebook's cells gave."""

    cells: int
    plots: int
    text: str


_TLS = ssl.create_default_context()
"""One for all: it takes long to load, and visitors are made while a loop runs."""


class Visitor:
    """One person's cookies and token."""

    def __init__(self, url: str, username: str) -> None:
        self.username = username
        self.url = url
        self._client = httpx.AsyncClient(
            base_url=url, follow_redirects=True, timeout=60, headers={"Accept": "text/html"}, verify=_TLS
        )
        # Calls with a token go without cookies, as a script's do.
        self._bare = httpx.AsyncClient(base_url=url, timeout=60, verify=_TLS)
        self._token = ""

    async def sign_in(self) -> None:
        """Choose the person on the provider's page, and come back signed in.

        Raises
        ------
        VisitError
            If the page has no button for the person, or the way does not end at the sessions.
        """
        page = await self._client.get("/hub/login")
        forms = _Forms()
        forms.feed(page.text)
        form = next((found for found in forms.found if self.username in found.fields.values()), None)
        if form is None:
            raise VisitError(f"the sign-in page has no button for {self.username}")
        page = await self._client.post(str(page.url.join(form.action)), data=dict(form.fields))
        if page.status_code != 200 or not page.url.path.startswith(SERVICE_PREFIX):
            raise VisitError(f"{self.username} signed in and came to {page.url} ({page.status_code})")
        await self._client.get("/hub/token")
        reply = await self._client.post(
            f"/hub/api/users/{self.username}/tokens",
            headers={"X-XSRFToken": self._xsrf("/hub"), "Sec-Fetch-Mode": "cors"},
            json={"note": "smoke"},
        )
        if reply.status_code not in {200, 201}:
            raise VisitError(f"no token for {self.username}: {reply.status_code}")
        self._token = reply.json()["token"]

    async def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A call of the spawn API."""
        headers = {"Authorization": f"token {self._token}", "Accept": "application/json"}
        return await self._bare.request(method, f"{SERVICE_PREFIX}/api/v1{path}", headers=headers, **kwargs)

    async def hub(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A call of the hub's own REST API."""
        headers = {"Authorization": f"token {self._token}", "Accept": "application/json"}
        return await self._client.request(method, f"/hub/api{path}", headers=headers, **kwargs)

    async def page(self, path: str) -> httpx.Response:
        """A page of the service."""
        return await self._client.get(f"{SERVICE_PREFIX}/{path}")

    async def wait_for(self, launch_id: str, *states: str, timeout_s: float = 300) -> dict[str, Any]:
        """The launch once it is in one of the states.

        Raises
        ------
        VisitError
            If that takes too long, or it ended otherwise.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            reply = await self.api("GET", f"/launches/{launch_id}")
            launch: dict[str, Any] = reply.json()
            if launch.get("state") in states:
                return launch
            if launch.get("state") in {"ended", "refused"}:
                why = launch.get("end_message") or launch.get("problem")
                raise VisitError(f"{launch_id} is {launch['state']}: {why}")
            if asyncio.get_running_loop().time() > deadline:
                raise VisitError(f"{launch_id} is still {launch.get('state')} after {timeout_s:.0f} s")
            await asyncio.sleep(_LOOK_S)

    async def files_of(self, launch: Mapping[str, Any], folder: str) -> set[str]:
        """Names in a folder of the session's home, as its JupyterLab lists them.

        Raises
        ------
        VisitError
            If the session does not open or has no such folder.
        """
        base, headers = await self._open(launch)
        reply = await self._client.get(f"{base}api/contents/{folder}", headers=headers)
        if reply.status_code != 200:
            raise VisitError(f"the folder {folder} is not there: {reply.status_code}")
        return {entry["name"] for entry in reply.json()["content"]}

    async def run_notebook(self, launch: Mapping[str, Any], path: str) -> CellRun:
        """Open a session as a browser does, and run all cells of a notebook in its kernel.

        Raises
        ------
        VisitError
            If the session does not open, or a cell fails.
        """
        base, headers = await self._open(launch)
        notebook = await self._client.get(f"{base}api/contents/{path}", headers=headers)
        if notebook.status_code != 200:
            raise VisitError(f"the notebook {path} is not there: {notebook.status_code}")
        sources = [
            cell["source"] for cell in notebook.json()["content"]["cells"] if cell["cell_type"] == "code"
        ]
        return await self._run(base, headers, path, sources)

    async def run_code(self, launch: Mapping[str, Any], source: str) -> str:
        """Run Python in a kernel of a session; gives what it printed.

        Raises
        ------
        VisitError
            If the session does not open, or the code fails.
        """
        base, headers = await self._open(launch)
        return (await self._run(base, headers, f"{secrets.token_hex(4)}.ipynb", [source])).text

    async def _open(self, launch: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        base = f"/user/{self.username}/{launch['server_name']}/"
        shown = "nothing"
        try:
            async with asyncio.timeout(_OPENS_S):
                while True:
                    shown = await self._shown_at(f"{base}lab")
                    if shown.startswith(base):
                        return base, {"X-XSRFToken": self._xsrf(base), "Sec-Fetch-Mode": "cors"}
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            raise VisitError(f"JupyterLab does not open: the hub shows {shown}") from error

    async def _shown_at(self, path: str) -> str:
        """Where a browser ends that goes to a page of a session."""
        opened = await self._client.get(path)
        if opened.status_code != 200:
            raise VisitError(f"JupyterLab answered {opened.status_code}")
        return opened.url.path

    async def _run(self, base: str, headers: Mapping[str, str], path: str, sources: Sequence[str]) -> CellRun:
        session = {"path": path, "type": "notebook", "name": "", "kernel": {"name": "python3"}}
        started = await self._client.post(f"{base}api/sessions", json=session, headers=dict(headers))
        if started.status_code != 201:
            raise VisitError(f"no kernel: {started.status_code} {started.text[:200]}")
        kernel = started.json()["kernel"]["id"]
        connection = await websocket_connect(
            HTTPRequest(
                f"{self.url}{base}api/kernels/{kernel}/channels".replace("http", "ws", 1),
                headers={"Cookie": self.cookies(base), "Origin": self.url},
            ),
            max_message_size=64 * 1024 * 1024,
        )
        try:
            return await _run_cells(connection, sources)
        finally:
            connection.close()

    async def sign_in_to_tunnel(self) -> None:
        """Get the cookie of the tunnel of desktops; it says who somebody is, and lets nobody in alone."""
        await self._client.get("/services/desktop/login", params={"next": f"{SERVICE_PREFIX}/"})

    async def open_desktop(self, desktop: str) -> httpx.Response:
        """The page of a desktop, signed in to the tunnel on the way.

        Raises
        ------
        VisitError
            If the way does not end at the page.
        """
        page = f"{SERVICE_PREFIX}/desktops/{desktop}"
        reply = await self._client.get("/services/desktop/login", params={"next": page})
        if reply.status_code != 200 or reply.url.path != page:
            raise VisitError(f"the desktop's page answered {reply.status_code} at {reply.url.path}")
        return reply

    def socket_url(self, path: str) -> str:
        """Address of a WebSocket of the site."""
        return f"{self.url}{path}".replace("http", "ws", 1)

    def cookies(self, base: str) -> str:
        """The cookies that a browser sends to a path."""
        fitting = [c for c in self._client.cookies.jar if base.startswith(c.path.rstrip("/"))]
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in fitting)

    def _xsrf(self, path: str) -> str:
        for cookie in self._client.cookies.jar:
            if cookie.name == "_xsrf" and cookie.path.startswith(path.rstrip("/")):
                return cookie.value or ""
        raise VisitError(f"{path} set no XSRF cookie")

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()
        await self._bare.aclose()


async def _run_cells(connection: WebSocketClientConnection, sources: Sequence[str]) -> CellRun:
    plots, texts = 0, []
    for number, source in enumerate(sources, 1):
        message_id = secrets.token_hex(8)
        await connection.write_message(_execute_request(message_id, source))
        drawn, printed = await _until_done(connection, message_id, number)
        plots += drawn
        texts.append(printed)
    return CellRun(len(sources), plots, "".join(texts))


async def _until_done(connection: WebSocketClientConnection, message_id: str, number: int) -> tuple[int, str]:
    """Read until the cell's reply and its idle status have come; count images, collect what is printed."""
    plots, text = 0, ""
    seen: set[str] = set()
    while seen != {"reply", "idle"}:
        raw = await asyncio.wait_for(connection.read_message(), _CELL_TIMEOUT_S)
        if raw is None:
            raise VisitError(f"the kernel left at cell {number}")
        message = json.loads(raw)
        if message["parent_header"].get("msg_id") != message_id:
            continue
        content = message["content"]
        match message["msg_type"]:
            case "execute_reply":
                seen.add("reply")
            case "status" if content["execution_state"] == "idle":
                seen.add("idle")
            case "error":
                raise VisitError(f"cell {number} failed: {content['ename']}: {content['evalue']}")
            case "display_data" | "execute_result":
                plots += "image/png" in content["data"]
            case "stream" if content["name"] == "stdout":
                text += content["text"]
    return plots, text


def _execute_request(message_id: str, source: str) -> str:
    """A request of the Jupyter messaging protocol, version 5.3."""
    header = {
        "msg_id": message_id,
        "msg_type": "execute_request",
        "session": message_id,
        "username": "",
        "version": "5.3",
    }
    content = {
        "code": source,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    return json.dumps(
        {
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
            "channel": "shell",
            "buffers": [],
        }
    )


@dataclass(slots=True)
class _Form:
    action: str
    fields: dict[str, str]


class _Forms(HTMLParser):
    """The forms of a page with the values that their inputs and buttons send."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Form] = []
        self._shared: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._shared = {"": given.get("action", "")}
        elif tag == "input" and given.get("type") == "hidden" and "name" in given:
            self._shared[given["name"]] = given.get("value", "")
        elif tag == "button" and "name" in given:
            shared = {name: value for name, value in self._shared.items() if name}
            pressed = {**shared, given["name"]: given.get("value", "")}
            self.found.append(_Form(self._shared.get("", ""), pressed))
