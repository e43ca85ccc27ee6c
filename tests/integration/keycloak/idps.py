"""Two identity providers behind one set of controls, so that the same tests prove both."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import html
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urljoin

import httpx
from tornado.httpserver import HTTPServer

from hub.demo.people import DemoPerson
from hub.demo.provider import app_of
from hub.demo.sign_in import Client, IdentityProvider
from tests.support.keycloak import CLIENT_SECRET, Keycloak, free_port

USERS = ("/panhub/users",)


class Idp(Protocol):
    """What tests do with an identity provider."""

    name: str
    secret: str

    @property
    def issuer(self) -> str: ...

    def serve_client_at(self, public_url: str) -> None: ...

    def add_person(self, username: str, groups: Sequence[str] = USERS) -> str: ...

    def rename(self, subject: str, username: str) -> None: ...

    def set_groups(self, subject: str, groups: Sequence[str]) -> None: ...

    def end_sessions(self, subject: str) -> None: ...

    def has_session(self, subject: str) -> bool: ...

    def opaque_tokens(self) -> set[str]: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def authenticate(self, browser: httpx.Client, page: httpx.Response, subject: str) -> httpx.Response: ...


class LoopThread:
    """An event loop in a thread, for servers that the hub under test talks to."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` in the loop's thread and return its result."""

        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def close(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


class ChangeableProvider(IdentityProvider):
    """The demo's provider with people that tests change, and faults that no real provider shows."""

    def __init__(self, issuer: str, client: Client) -> None:
        super().__init__(issuer, client, ())
        self.changes: dict[str, Any] = {}
        self.userinfo_changes: dict[str, Any] = {}
        self.token_of: Callable[[Mapping[str, Any]], str] | None = None

    def claims(self, person: DemoPerson) -> dict[str, Any]:
        """Claims as Keycloak gives them: no groups, no claim."""
        claims = super().claims(person)
        if not claims["groups"]:
            del claims["groups"]
        return claims

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Sign what the test wants to be signed, as it wants."""
        changed = {k: v for k, v in {**claims, **self.changes}.items() if v is not None}
        return self.token_of(changed) if self.token_of is not None else super().sign(changed)

    def userinfo(self, access_token: str) -> dict[str, Any] | None:
        """Userinfo with the test's changes."""
        claims = super().userinfo(access_token)
        return None if claims is None else {**claims, **self.userinfo_changes}

    def mend(self) -> None:
        """Show no fault any more."""
        self.changes, self.userinfo_changes, self.token_of = {}, {}, None


class DemoIdp:
    """The demo's provider in a thread."""

    name = "demo"

    def __init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.secret = "client-secret-of-the-demo"
        self._thread = LoopThread()
        self._server: HTTPServer | None = None
        self.provider = ChangeableProvider(self.issuer, Client("panhub", self.secret, ()))
        self.resume()

    def serve_client_at(self, public_url: str) -> None:
        self.provider.client = Client("panhub", self.secret, (f"{public_url}/hub/oauth_callback",))

    def add_person(self, username: str, groups: Sequence[str] = USERS) -> str:
        subject = f"subject-{len(self.provider.people)}"
        person = DemoPerson(username, f"{username} Example", "", "1", subject, tuple(groups))
        self.provider.people = (*self.provider.people, person)
        return subject

    def rename(self, subject: str, username: str) -> None:
        before = self._person(subject).username
        self._change(subject, username=username)
        for name, session in self.provider._sessions.items():
            if session.username == before:
                self.provider._sessions[name] = dataclasses.replace(session, username=username)

    def set_groups(self, subject: str, groups: Sequence[str]) -> None:
        self._change(subject, groups=tuple(groups))

    def end_sessions(self, subject: str) -> None:
        for session in self._sessions(subject):
            self._thread.call(functools.partial(self.provider.end, session))

    def has_session(self, subject: str) -> bool:
        return bool(self._sessions(subject))

    def opaque_tokens(self) -> set[str]:
        return {*self.provider._access, *self.provider._refresh}

    def pause(self) -> None:
        assert self._server is not None
        self._thread.call(self._server.stop)
        asyncio.run_coroutine_threadsafe(self._server.close_all_connections(), self._thread.loop).result(5)

    def resume(self) -> None:
        app = app_of(self.provider)
        self._server = self._thread.call(lambda: app.listen(self.port, address="127.0.0.1"))

    def authenticate(self, browser: httpx.Client, page: httpx.Response, subject: str) -> httpx.Response:
        request = re.search(r'name="request" value="([^"]+)"', page.text)
        assert request, page.text
        username = self._person(subject).username
        return browser.post(f"{self.issuer}/pick", data={"request": request[1], "person": username})

    def close(self) -> None:
        self.pause()
        self._thread.close()

    def _person(self, subject: str) -> DemoPerson:
        return next(person for person in self.provider.people if person.subject == subject)

    def _change(self, subject: str, **changes: Any) -> None:
        self.provider.people = tuple(
            dataclasses.replace(person, **changes) if person.subject == subject else person
            for person in self.provider.people
        )

    def _sessions(self, subject: str) -> list[str]:
        username = self._person(subject).username
        return [name for name, item in self.provider._sessions.items() if item.username == username]


@dataclass
class KeycloakIdp:
    """A real Keycloak."""

    keycloak: Keycloak
    name: str = "keycloak"
    secret: str = CLIENT_SECRET
    _names: dict[str, str] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return self.keycloak.issuer

    def serve_client_at(self, public_url: str) -> None:
        self.keycloak.serve_client_at(public_url)

    def add_person(self, username: str, groups: Sequence[str] = USERS) -> str:
        subject = self.keycloak.add_person(
            username, "secret", groups=groups, attributes={"facility_user_id": "1"}
        )
        self._names[subject] = username
        return subject

    def rename(self, subject: str, username: str) -> None:
        person = self.keycloak.call("GET", f"/users/{subject}").json()
        self.keycloak.call("PUT", f"/users/{subject}", json={**person, "username": username})
        self._names[subject] = username

    def set_groups(self, subject: str, groups: Sequence[str]) -> None:
        self.keycloak.set_groups(subject, groups)

    def end_sessions(self, subject: str) -> None:
        self.keycloak.end_sessions(subject)

    def has_session(self, subject: str) -> bool:
        return bool(self.keycloak.sessions(subject))

    def opaque_tokens(self) -> set[str]:
        return set()  # Keycloak's tokens are all JWTs

    def pause(self) -> None:
        self.keycloak.pause()

    def resume(self) -> None:
        self.keycloak.resume()

    def authenticate(self, browser: httpx.Client, page: httpx.Response, subject: str) -> httpx.Response:
        action = re.search(r'<form[^>]*id="kc-form-login"[^>]*action="([^"]+)"', page.text)
        assert action, page.text
        url = urljoin(str(page.url), html.unescape(action[1]))
        return browser.post(url, data={"username": self._names[subject], "password": "secret"})
