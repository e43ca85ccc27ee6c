"""A real JupyterHub with the authenticator under test, its proxy, and the service's side of sign-in."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from tornado import web

from hub.database import Database, HubBase, sqlite_url
from hub.identity import persons
from hub.identity.report import IdentityReport
from tests.integration.keycloak.idps import Idp, LoopThread
from tests.support import loopwatch
from tests.support.keycloak import free_port

REPO = Path(__file__).parents[3]
INTERNAL_SECRET = "internal-secret-of-the-tests"
PROXY_TOKEN = "proxy-token-of-the-tests"
SERVICE_TOKEN = "service-token-of-the-tests"
GRACE_S = 15


class Registry:
    """The service's edge for sign-ins over the real table of persons; tests may silence it."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(sqlite_url(folder / "panhub.sqlite"))
        tables = [HubBase.metadata.tables[name] for name in ("persons", "person_changes")]
        HubBase.metadata.create_all(self.database.engine, tables=tables)
        self.is_silent = False
        self.port = free_port()
        self._thread = LoopThread()
        app = web.Application([(r"/internal/persons", _PersonsHandler, {"registry": self})])
        self._server = self._thread.call(lambda: app.listen(self.port, address="127.0.0.1"))

    def person(self, username: str) -> Any:
        """Person by name, as recorded."""
        return self.database.run_now(lambda session: persons.by_username(session, username))

    def close(self) -> None:
        """Stop serving."""
        self._thread.call(self._server.stop)
        self._thread.close()
        self.database.close()


class _PersonsHandler(web.RequestHandler):
    def initialize(self, registry: Registry) -> None:
        self.registry = registry

    async def put(self) -> None:
        if self.registry.is_silent:
            raise web.HTTPError(503)
        assert self.request.headers["Authorization"] == f"Bearer {INTERNAL_SECRET}"
        identity = IdentityReport.model_validate_json(self.request.body).to_identity()
        try:
            await self.registry.database.run(
                lambda session: persons.record_login(session, identity, datetime.now(UTC))
            )
        except persons.PersonError as error:
            self.set_status(409)
            self.finish({"detail": str(error)})


@dataclass
class RunningHub:
    """A hub that runs, and browsers for it."""

    url: str
    idp: Idp
    registry: Registry
    log: Path
    _browsers: list[httpx.Client] = field(default_factory=list)

    def browser(self) -> httpx.Client:
        """A new browser: it follows redirects and keeps cookies."""
        browser = httpx.Client(follow_redirects=True, timeout=30)

        def send_secure_cookies_on_loopback(_response: httpx.Response) -> None:
            # As browsers do on localhost: Keycloak marks its cookies secure.
            for cookie in browser.cookies.jar:
                cookie.secure = False

        browser.event_hooks = {"response": [send_secure_cookies_on_loopback]}
        self._browsers.append(browser)
        return browser

    def sign_in(
        self, subject: str, browser: httpx.Client | None = None
    ) -> tuple[httpx.Client, httpx.Response]:
        """Sign a person in; returns the browser and the page it ended on."""
        browser = browser or self.browser()
        page = browser.get(f"{self.url}/hub/oauth_login?next=/hub/token")
        return browser, self.idp.authenticate(browser, page, subject)

    def is_in(self, browser: httpx.Client) -> bool:
        """Whether the hub takes the browser for a person, without a new sign-in."""
        response = browser.get(f"{self.url}/hub/token", follow_redirects=False)
        return response.status_code == 200

    def after_refresh_age(self) -> None:
        """Wait until the hub asks the provider again, and forgets its last answer."""
        time.sleep(5.2)

    def start(self, username: str, name: str = "one") -> httpx.Response:
        """Start a session as the service does."""
        return httpx.post(
            f"{self.url}/hub/api/users/{username}/servers/{name}",
            headers={"Authorization": f"token {SERVICE_TOKEN}"},
            json={},
            timeout=30,
        )

    def stop(self, username: str, name: str = "one") -> None:
        """Stop a session."""
        httpx.delete(
            f"{self.url}/hub/api/users/{username}/servers/{name}",
            headers={"Authorization": f"token {SERVICE_TOKEN}"},
            timeout=30,
        )

    def session_environment(self, username: str, name: str = "one") -> dict[str, str]:
        """Environment of a running session."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            response = httpx.get(f"{self.url}/user/{username}/{name}/", follow_redirects=False)
            if response.status_code == 200:
                return dict(response.json())
            time.sleep(0.2)
        raise AssertionError(f"no session: {response.status_code}")

    def blocked(self) -> list[loopwatch.Violation]:
        """Steps of ours that kept the hub's loop too long, since it started."""
        return loopwatch.read_report(self.log.with_name("blocked"))

    def close(self) -> None:
        """Close the browsers."""
        for browser in self._browsers:
            browser.close()


@contextlib.contextmanager
def running_hub(idp: Idp, folder: Path) -> Iterator[RunningHub]:
    """Run proxy and hub as processes of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    registry = Registry(folder)
    port, api_port, hub_port = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    idp.serve_client_at(url)
    secret = _secret(folder / "internal", INTERNAL_SECRET)
    given = {
        "folder": str(folder),
        "public_url": url,
        "hub_url": f"http://127.0.0.1:{hub_port}/hub/",
        "proxy_api_url": f"http://127.0.0.1:{api_port}",
        "proxy_token": PROXY_TOKEN,
        "service_token": SERVICE_TOKEN,
        "internal_url": f"http://127.0.0.1:{registry.port}",
        "internal_secret_file": str(secret),
        "identity": {
            "issuer": idp.issuer,
            "client_secret_file": str(_secret(folder / "client", idp.secret)),
            "absent_groups": "empty",
            "grace_s": GRACE_S,
            "timeout_s": 1.5 if idp.name == "demo" else 4,
            "accounts": {"kind": "claims"},
        },
    }
    environment = {**os.environ, "HUB_TEST": json.dumps(given), **loopwatch.environment(folder / "blocked")}
    environment["CONFIGPROXY_AUTH_TOKEN"] = PROXY_TOKEN
    proxy = [
        str(REPO / "node_modules/.bin/configurable-http-proxy"), "--ip=127.0.0.1", f"--port={port}",
        "--api-ip=127.0.0.1", f"--api-port={api_port}", f"--default-target=http://127.0.0.1:{hub_port}",
        "--error-target", f"http://127.0.0.1:{hub_port}/hub/error",
    ]  # fmt: skip
    hub = [sys.executable, "-m", "jupyterhub", "--config", str(Path(__file__).with_name("hub_config.py"))]
    with contextlib.ExitStack() as stack:
        stack.callback(registry.close)
        stack.enter_context(_process(proxy, folder, "proxy", environment))
        stack.enter_context(_process(hub, folder, "hub", environment))
        running = RunningHub(url, idp, registry, folder / "hub.log")
        stack.callback(running.close)
        _wait(url, folder)
        yield running


@contextlib.contextmanager
def _process(command: list[str], folder: Path, name: str, environment: dict[str, str]) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def _wait(url: str, folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/hub/health").status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError((folder / "hub.log").read_text()[-3000:])


def _secret(path: Path, value: str) -> Path:
    path.write_text(value)
    path.chmod(0o600)
    return path
