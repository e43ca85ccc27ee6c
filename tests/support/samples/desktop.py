"""A desktop for the sample pages: the sharing API's answers, and a tunnel that draws and notes what it hears.

The id of a desktop says who looks at it: see `LOOKS`. What was sent is at ``/services/desktop/heard``.
"""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from hub.desktop.codec import decode, encode
from tests.support.samples.base import NOW

OWNER, WATCHING, HELPING, NOBODY, ENDED, LAB = (f"000000000000000{n}" for n in range(1, 7))
LOOKS = {OWNER: "owner", WATCHING: "viewer", HELPING: "control", LAB: "owner"}
"""Role of who looks, by desktop; at `NOBODY` they have none, and `ENDED` is over."""

MAJA = {"username": "maja", "name": "Maja Lindqvist"}
NILS = {"username": "nils", "name": "Nils <b>Berg</b>"}
RUTH = {"username": "ruth", "name": "Ruth Abara"}
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEAYABgAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcpLDAxNDQ0"
    "Hyc5PTgyPC4zNDL/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8A"
    "VN//2Q=="
)
"""One grey pixel."""


class Desk:
    """What is kept of the sample desktops, while the server runs."""

    def __init__(self) -> None:
        self.states = {desktop: state_of(desktop, role) for desktop, role in LOOKS.items()}
        self.heard: list[Any] = []
        self.news = asyncio.Event()
        self.tunnels: list[SampleTunnel] = []
        self.is_open = True

    def change(self, desktop: str, **parts: Any) -> None:
        """Change a state, and tell those who follow it."""
        self.states[desktop] = {**self.states[desktop], **parts}
        self.news.set()
        self.news = asyncio.Event()


def state_of(desktop: str, role: str) -> dict[str, Any]:
    """State as somebody with a role sees it; the owner is Maja, who has control."""
    me = {"owner": MAJA, "control": NILS, "viewer": NILS}[role]
    is_owner = role == "owner"
    nils = {
        **NILS,
        "role": "control" if role == "control" else "viewer",
        "is_here": True,
        "has_control": False,
    }
    return {
        "desktop": desktop,
        "title": "Powder, sample_03 <i>",
        "kind": "session",
        "owner": MAJA,
        "me": {
            **me,
            "role": role,
            "has_control": is_owner,
            "may_copy": role != "viewer",
            "may_transfer": is_owner,
            "may_manage": is_owner,
            "asked": None,
        },
        "people": [{**MAJA, "role": "owner", "is_here": True, "has_control": True}, nils],
        "members": [{**NILS, "role": nils["role"], "warning": "MA-1234"}] if is_owner else [],
        "requests": [{"id": "00000000000000aa", **RUTH, "role": "viewer", "warning": ""}] if is_owner else [],
        "invitations": [
            {
                "id": "00000000000000bb",
                "role": "viewer",
                "expires_at": (NOW + timedelta(hours=20)).isoformat(),
                "used_by": None,
            }
        ]
        if is_owner
        else [],
        "holder": "maja",
        "when_owner_leaves": "lock",
        "until": (NOW + timedelta(hours=2, minutes=10)).isoformat(),
        "has_picture": desktop != LAB,
        "lab_url": "/user/maja/x/lab" if is_owner else None,
        "call_url": "https://call.facility.example/id22",
        "screens": 1,
        "unreadable_policy": "warn",
        "thumbnail_at": None,
    }


class SampleApi(RequestHandler):
    """``/api/v1/desktops/<desktop>/…``: enough of the sharing API for the pages to go on."""

    def initialize(self, desk: Desk) -> None:
        self.desk = desk

    def check_xsrf_cookie(self) -> None:
        """Samples have no session to check."""

    async def prepare(self) -> None:
        """Note what was sent."""
        if self.request.method != "GET":
            body = self.request.body[:500].decode("utf-8", "replace")
            if self.request.headers.get("Content-Type") == "image/jpeg":
                body = self.request.body[:3].hex()
            self.desk.heard.append([self.request.method, self.request.path.partition("/desktops/")[2], body])

    async def get(self, desktop: str, what: str = "") -> None:
        """The state, or its stream."""
        state = self._state(desktop)
        if what == "events":
            await self._stream(desktop)
        elif what == "thumbnail":
            self.set_header("Content-Type", "image/jpeg")
            self.finish(JPEG)
        elif what == "suggestions":
            self.finish({"items": [RUTH, {"username": "bo", "name": "Bo Ek"}]})
        else:
            self.finish(state)

    async def _stream(self, desktop: str) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.is_open = True
        while self.is_open:
            news = self.desk.news
            self.write(f"event: state\ndata: {json.dumps(self.desk.states[desktop])}\n\n")
            await self.flush()
            waiting = asyncio.ensure_future(news.wait())
            while self.is_open and not waiting.done():
                await asyncio.wait([waiting], timeout=0.2)
            waiting.cancel()

    def on_connection_close(self) -> None:
        """The page went away."""
        self.is_open = False

    def post(self, desktop: str, what: str = "") -> None:
        """A ticket, a member, control, …"""
        body = json.loads(self.request.body or b"{}")
        if what == "requests":
            self.set_status(202)
            self.finish({"detail": "If there is such a desktop, its owner was told."})
            return
        state = self._state(desktop)
        if what == "tickets":
            self.finish({"ticket": "t" * 22, "expires_in_s": 15, "tunnel": "/services/desktop/tunnel"})
        elif what == "members" and body["username"] == "ruth" and not body.get("confirm"):
            self._refuse(409, "confirm_needed", "This shows data of MA-1234, which that person may not read.")
        elif what == "invitations":
            url = f"http://{self.request.host}/services/panhub/invitation#{'k' * 22}"
            self.finish({"id": "00000000000000cc", "url": url, "expires_at": NOW.isoformat()})
        elif what == "control":
            mine = state["me"]["username"] == body["to"]
            self.desk.change(desktop, holder=body["to"], me={**state["me"], "has_control": mine})
            self.finish({})
        else:
            self.finish({})

    delete = patch = post

    def put(self, desktop: str, what: str = "") -> None:
        """A small picture."""
        self.set_status(204)
        self.finish()

    def _state(self, desktop: str) -> dict[str, Any]:
        if desktop not in self.desk.states:
            raise HTTPError(404)
        return self.desk.states[desktop]

    def _refuse(self, status: int, code: str, detail: str) -> None:
        self.set_status(status)
        self.finish({"code": code, "title": "No", "detail": detail, "hint": "", "status": status})


class SampleHost(RequestHandler):
    """``/services/desktop/…`` beside the tunnel: who one is, sizes, layouts, files."""

    def initialize(self, desk: Desk) -> None:
        self.desk = desk

    def check_xsrf_cookie(self) -> None:
        """Samples have no session to check."""

    def get(self, path: str) -> None:
        """What the page asks."""
        if path == "heard":
            self.finish({"heard": self.desk.heard})
        elif path == "forget":
            self.desk.heard.clear()
            self.desk.states = {desktop: state_of(desktop, role) for desktop, role in LOOKS.items()}
            self.desk.is_open = True
            self.finish({})
        elif path == "state":
            self.desk.change(self.get_argument("desktop"), **json.loads(self.get_argument("parts")))
            self.finish({})
        elif path == "cut":
            self.desk.is_open = self.get_argument("then", "open") == "open"
            for tunnel in list(self.desk.tunnels):
                tunnel.close(1011, self.get_argument("status", "519"))
            self.finish({})
        elif path == "copy":
            for tunnel in self.desk.tunnels:
                tunnel.copy(self.get_argument("text"))
            self.finish({})
        elif path.endswith("/files"):
            self.finish(self._folder())
        elif path == "me":
            self.finish({"username": "maja"})
        else:
            self.finish("the file")

    def _folder(self) -> dict[str, Any]:
        if not self.get_argument("path", ""):
            return {
                "path": "",
                "may_bring": True,
                "entries": [{"name": "results", "kind": "folder", "size": 0}],
            }
        entries = [
            {"name": "<img src=x onerror=alert(1)>.txt", "kind": "file", "size": 2_345_678},
            {"name": "scan 😀.dat", "kind": "file", "size": 12},
        ]
        return {"path": self.get_argument("path"), "may_bring": True, "entries": entries}

    def post(self, path: str) -> None:
        """Note a size, a layout or a file."""
        what = path.rpartition("/")[2]
        self.desk.heard.append(
            [what, self.get_argument("path", ""), self.request.body[:300].decode("utf-8", "replace")]
        )
        self.finish({"name": self.get_argument("path", "x").rpartition("/")[2]})

    put = post


class SampleTunnel(WebSocketHandler):
    """Draws a window in a colour, echoes pings, notes the rest."""

    def initialize(self, desk: Desk) -> None:
        self.desk = desk

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """As the real one."""
        return "guacamole" if "guacamole" in subprotocols else None

    def open(self) -> None:
        """A picture at once, if the desktop is there."""
        if not self.desk.is_open:
            self.close(1011, "520")
            return
        self.desk.tunnels.append(self)
        parts = [
            encode("", "0123456789abcdef"),
            encode("size", "0", "1280", "720"),
            encode("rect", "0", "0", "0", "1280", "720"),
            encode("cfill", "14", "0", "38", "64", "92", "255"),
            encode("rect", "0", "120", "90", "520", "340"),
            encode("cfill", "14", "0", "236", "238", "240", "255"),
            encode("rect", "0", "120", "90", "520", "28"),
            encode("cfill", "14", "0", "90", "150", "190", "255"),
            encode("name", "Ångström 😀"),
            encode("sync", "1000", "1"),
        ]
        self.write_message("".join(parts))

    def copy(self, text: str) -> None:
        """Somebody copied something in the desktop."""
        data = base64.b64encode(text.encode()).decode()
        stream = [encode("clipboard", "3", "text/plain"), encode("blob", "3", data), encode("end", "3")]
        self.write_message("".join(stream))

    def on_message(self, message: str | bytes) -> None:
        """Echo pings; note keys, mouse, clipboard."""
        for instruction in decode(message if isinstance(message, str) else message.decode()):
            if instruction[0] == "" and instruction[1] == "ping":
                self.write_message(encode(*instruction))
            elif instruction[0] not in {"nop", "sync", "ack"}:
                self.desk.heard.append(list(instruction))

    def on_close(self) -> None:
        """The browser is gone."""
        if self in self.desk.tunnels:
            self.desk.tunnels.remove(self)
