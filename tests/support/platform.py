"""A whole platform for tests: proxy, provider, service and hub as processes that can be killed.

The same programs and configuration as `panhub demo`, without its supervisor: a test decides what
dies and when it comes back.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import yaml

from hub.demo.configure import Ports, free_ports, write_configuration
from hub.demo.desktops import Desktops, prepare_desktops
from hub.demo.people import PEOPLE
from hub.demo.run import programs
from hub.demo.slurm.daemons import as_user
from hub.settings import SERVICE_PREFIX, load_settings
from tests.support import loopwatch
from tests.support.facility import copy_facility
from tests.support.required import require

if TYPE_CHECKING:
    from hub.demo.site import DemoSite

T = TypeVar("T")
P = TypeVar("P", bound="Platform")

ROOT = Path(__file__).resolve().parents[2]


_AT_START = ("Renderer.__init__", "<module>")
"""What takes long before hub and service listen: templates and imports."""


def wait_until(what: Callable[[], T], message: str, timeout_s: float = 60) -> T:
    """First true answer of ``what``; fails with ``message`` when none came in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, message
        time.sleep(0.05)
    return found


def require_desktops() -> Desktops:
    """What desktops run with here; without it the test is skipped, or fails where nothing may be."""
    said: list[str] = []
    found = prepare_desktops(said.append)
    require(found is not None, "; ".join(said) or "what desktops need")
    assert found is not None
    return found


class Platform:
    """One platform in a folder of its own.

    ``overrides`` change sections of its settings; ``desktops``: it has the tunnel of desktops too.
    """

    def __init__(
        self,
        state: Path,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        site: DemoSite | None = None,
        desktops: bool = False,
    ) -> None:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy_facility(state)
        self.state = state
        self.ports: Ports = free_ports()
        self.config, _ = write_configuration(
            state, self.ports, site, require_desktops() if desktops else None
        )
        raw = yaml.safe_load(self.config.read_text())
        for section, values in (overrides or {}).items():
            raw.setdefault(section, {}).update(values)
        self.config.write_text(yaml.safe_dump(raw))
        self.settings = load_settings(self.config)
        of_site = site.programs() if site is not None else ()
        self.programs = {p.name: p for p in (*of_site, *programs(self.config, self.settings, self.ports))}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.url = self.settings.site.public_url
        self.loopwatch = state / "loopwatch.jsonl"
        (state / "logs").mkdir(exist_ok=True)

    # --- processes ------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start programs (all by default, in their order) and wait until they answer."""
        for name in names or self.programs:
            program = self.programs[name]
            environment = {**program.environment, **loopwatch.environment(self.loopwatch)}
            with (self.state / "logs" / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    as_user(program.user, program.argv),
                    env=environment,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd=ROOT,
                )
            wait_until(
                lambda p=program: self._answers(p.name, p.ready_url),
                f"{name} does not answer: {self.log(name)}",
                90,
            )
        wait_until(
            lambda: self._get(f"{self.url}{SERVICE_PREFIX}/health") == 200, "no route to the service", 120
        )

    def _answers(self, name: str, url: str) -> bool:
        assert self.processes[name].poll() is None, f"{name} ended: {self.log(name)}"
        if url.startswith("unix:"):
            return Path(url.removeprefix("unix:")).is_socket()
        status = self._get(url)
        return status is not None and status < 500

    @staticmethod
    def _get(url: str) -> int | None:
        try:
            return httpx.get(url, timeout=5).status_code
        except httpx.HTTPError:
            return None

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End one program at once; what it started lives on."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(30)

    def restart(self, name: str) -> None:
        """kill -9, then start again."""
        self.kill(name)
        self.start(name)

    def log(self, name: str, lines: int = 60) -> str:
        """Last lines of a program's log."""
        path = self.state / "logs" / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def stop(self) -> None:
        """End everything, sessions included."""
        for name in reversed(list(self.processes)):
            with contextlib.suppress(ProcessLookupError):
                self.processes[name].terminate()
        for process in self.processes.values():
            try:
                process.wait(45)
            except subprocess.TimeoutExpired:
                process.kill()
        self.processes.clear()
        for pid in self.session_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def session_processes(self, launch_id: str = "") -> list[int]:
        """Processes of this platform's sessions, by the run folder and launch id in their environment."""
        found = []
        mark = f"PANHUB_RUN={self.state}/".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                environment = (entry / "environ").read_bytes()
                if mark in environment and f"PANHUB_LAUNCH_ID={launch_id}".encode() in environment:
                    found.append(int(entry.name))
        return found

    def is_watched(self, name: str) -> bool:
        """Whether a program's event loop is watched."""
        return self.processes[name].pid in loopwatch.read_watched(self.loopwatch)

    def blocked_loops(self) -> list[str]:
        """What the watch of event loops wrote: frames of ours that blocked a loop of service or hub.

        What the service reads while it is put together is left out: nobody waits for it yet.
        """
        found = loopwatch.read_report(self.loopwatch)
        return [str(one) for one in found if not one.where.startswith(_AT_START)]

    # --- people ---------------------------------------------------------------------------------

    def sign_in(self, username: str) -> Visitor:
        """Sign a person of the demo in, as a browser would."""
        return Visitor(self, username)

    def service_token(self) -> str:
        """The service's own token for the hub's API."""
        return self.settings.hub.service_token_file.read_text().strip()

    def hub_servers(self, username: str) -> dict[str, Any]:
        """The hub's own list of a person's servers."""
        reply = httpx.get(
            f"{self.settings.hub.api_url}/users/{username}",
            headers={"Authorization": f"token {self.service_token()}"},
        )
        reply.raise_for_status()
        servers: dict[str, Any] = reply.json().get("servers", {})
        return servers

    def database(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows of the service's database."""
        from sqlalchemy import create_engine, text

        engine = create_engine(self.settings.database.url)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(sql), values)]
        finally:
            engine.dispose()

    def handle_of(self, launch_id: str) -> dict[str, Any] | None:
        """A session's handle, as the session table has it."""
        ((handle,),) = self.database("SELECT handle FROM launches WHERE id = :id", id=launch_id)
        found: dict[str, Any] | None = json.loads(handle) if isinstance(handle, str) else handle
        return found


class Visitor:
    """A person with a browser: cookies, and a hub token of their own for REST."""

    def __init__(self, platform: Platform, username: str) -> None:
        self.platform = platform
        self.username = username
        self.person = next(person for person in PEOPLE if person.username == username)
        self.client = httpx.Client(
            base_url=platform.url, follow_redirects=True, timeout=60, headers={"Accept": "text/html"}
        )
        page = self.client.get("/hub/login")
        # The provider's page has one button for each person; its form names them.
        form = _form_with(page.text, username)
        page = self.client.post(str(page.url.join(form["action"])), data=form["fields"])
        assert page.status_code == 200, page.text[:500]
        self.client.get(f"{SERVICE_PREFIX}/")
        self._token = ""

    def xsrf(self, path: str = SERVICE_PREFIX) -> str:
        """The XSRF token of the pages below a path."""
        for cookie in self.client.cookies.jar:
            if cookie.name == "_xsrf" and cookie.path.startswith(path):
                return cookie.value or ""
        raise AssertionError(f"no _xsrf cookie for {path}")

    @property
    def token(self) -> str:
        """A hub token of the person, made by the hub's REST API as the token page does."""
        if not self._token:
            self.client.get("/hub/token")
            reply = self.client.post(
                f"/hub/api/users/{self.username}/tokens",
                headers={"X-XSRFToken": self.xsrf("/hub"), "Sec-Fetch-Mode": "cors"},
                json={"note": "tests"},
            )
            assert reply.status_code in {200, 201}, reply.text
            self._token = reply.json()["token"]
        return self._token

    def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A call of the spawn API with the person's token."""
        headers = {"Authorization": f"token {self.token}", **kwargs.pop("headers", {})}
        return httpx.request(
            method, f"{self.platform.url}{SERVICE_PREFIX}/api/v1{path}", headers=headers, timeout=60, **kwargs
        )

    def hub(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A call of the hub's plain REST API with the person's token."""
        headers = {"Authorization": f"token {self.token}", **kwargs.pop("headers", {})}
        return httpx.request(
            method, f"{self.platform.url}/hub/api{path}", headers=headers, timeout=90, **kwargs
        )

    def page(self, path: str = "", **kwargs: Any) -> httpx.Response:
        """A page of the service."""
        return self.client.get(f"{SERVICE_PREFIX}/{path}", **kwargs)

    def post(self, path: str, data: Mapping[str, Any]) -> httpx.Response:
        """A form of a page of the service."""
        return self.client.post(f"{SERVICE_PREFIX}/{path}", data={**data, "_xsrf": self.xsrf()})

    def launch(self, **request: Any) -> dict[str, Any]:
        """Start a session by the API; the launch as it was answered."""
        reply = self.api("POST", "/launches", json=request)
        assert reply.status_code == 202, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def get(self, launch_id: str) -> dict[str, Any]:
        """A launch."""
        reply = self.api("GET", f"/launches/{launch_id}")
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def wait_for(self, launch_id: str, *states: str, timeout_s: float = 60) -> dict[str, Any]:
        """The launch once it is in one of the states."""

        def look() -> dict[str, Any] | None:
            with contextlib.suppress(httpx.HTTPError, AssertionError):
                found = self.get(launch_id)
                return found if found["state"] in states else None
            return None

        return wait_until(look, f"{launch_id} is not {states}: {self.platform.log('service')}", timeout_s)

    def open_session(self, launch: Mapping[str, Any]) -> Session:
        """The running session's own server, signed in by its OAuth."""
        return Session(self, launch)


class Session:
    """A session's server as its person reaches it through the proxy."""

    def __init__(self, visitor: Visitor, launch: Mapping[str, Any]) -> None:
        self.visitor = visitor
        self.base = f"/user/{visitor.username}/{launch['server_name']}/"

        def opened() -> bool:
            # The hub routes to a session shortly after it runs, and shows a page of its own until then.
            reply = visitor.client.get(f"{self.base}lab")
            assert reply.status_code < 500, (reply.status_code, str(reply.url), reply.text[:300])
            return reply.status_code == 200 and reply.url.path.startswith(self.base)

        wait_until(opened, f"{self.base} does not open", 20)

    def get(self, path: str, **kwargs: Any) -> httpx.Response:
        """GET below the session's base address."""
        return self.visitor.client.get(f"{self.base}{path}", **kwargs)

    def run(self, code: str, timeout_s: float = 60) -> str:
        """Run Python in the session (through its terminals API) and give what it printed."""
        name = f"run-{os.urandom(4).hex()}"
        xsrf = {"X-XSRFToken": self.visitor.xsrf(self.base), "Sec-Fetch-Mode": "cors"}
        source = _WRAPPER.format(code=repr(code), name=name)
        body = {"type": "file", "format": "text", "content": source}
        saved = self.visitor.client.put(f"{self.base}api/contents/{name}.py", json=body, headers=xsrf)
        assert saved.status_code == 201, saved.text
        return self._run_file(name, xsrf, timeout_s)

    def _run_file(self, name: str, xsrf: Mapping[str, str], timeout_s: float) -> str:
        import asyncio

        from tornado.httpclient import HTTPRequest
        from tornado.websocket import websocket_connect

        kernel = self.visitor.client.post(f"{self.base}api/kernels", json={}, headers=dict(xsrf))
        assert kernel.status_code == 201, kernel.text
        kernel_id = kernel.json()["id"]
        cookies = "; ".join(
            f"{c.name}={c.value}"
            for c in self.visitor.client.cookies.jar
            if self.base.startswith(c.path.rstrip("/"))
        )

        async def execute() -> None:
            url = f"{self.visitor.platform.url}{self.base}api/kernels/{kernel_id}/channels".replace(
                "http", "ws", 1
            )
            request = HTTPRequest(url, headers={"Cookie": cookies, "Origin": self.visitor.platform.url})
            connection = await websocket_connect(request)
            header = {
                "msg_id": name,
                "msg_type": "execute_request",
                "session": name,
                "username": "",
                "version": "5.3",
            }
            content = {
                "code": f"exec(open({name + '.py'!r}).read())",
                "silent": False,
                "store_history": False,
                "allow_stdin": False,
                "stop_on_error": True,
                "user_expressions": {},
            }
            await connection.write_message(
                json.dumps(
                    {
                        "header": header,
                        "parent_header": {},
                        "metadata": {},
                        "content": content,
                        "channel": "shell",
                        "buffers": [],
                    }
                )
            )
            deadline = time.monotonic() + timeout_s
            while time.monotonic() < deadline:
                message = await asyncio.wait_for(connection.read_message(), timeout_s)
                assert message is not None, "the kernel's channel closed"
                answer = json.loads(message)
                if (
                    answer.get("msg_type") == "execute_reply"
                    and answer["parent_header"].get("msg_id") == name
                ):
                    break
            connection.close()

        asyncio.run(execute())
        self.visitor.client.delete(f"{self.base}api/kernels/{kernel_id}", headers=dict(xsrf))
        reply = self.get(f"api/contents/{name}.txt", params={"content": 1}, headers=dict(xsrf))
        assert reply.status_code == 200, reply.text
        text: str = reply.json()["content"]
        return text


_WRAPPER = """\
import contextlib, io, os, traceback
out = io.StringIO()
with contextlib.redirect_stdout(out):
    try:
        exec({code}, {{}})
    except BaseException:
        print(traceback.format_exc())
with open("{name}.part", "w") as file:
    file.write(out.getvalue())
os.rename("{name}.part", "{name}.txt")
"""
"""What runs in the session: the code, its output put into a file that is complete once it is there."""


def _form_with(html: str, username: str) -> dict[str, Any]:
    """The form of a page that has a button or field for a person."""
    for form in re.findall(r"<form[^>]*>.*?</form>", html, re.DOTALL):
        action = re.search(r'action="([^"]*)"', form)
        fields = {m[1]: m[2] for m in re.finditer(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', form)}
        for button in re.findall(r"<button[^>]*>", form):
            name, value = re.search(r'name="([^"]*)"', button), re.search(r'value="([^"]*)"', button)
            person = next(p for p in PEOPLE if p.username == username)
            if name and value and value[1] in {username, person.subject}:
                import html as html_module

                return {
                    "action": html_module.unescape(action[1]) if action else "",
                    "fields": {**fields, name[1]: value[1]},
                }
    raise AssertionError(f"no button for {username}: {html[:2000]}")


@contextlib.contextmanager
def running_platform(
    state: Path, *, desktops: bool = False, **overrides: Mapping[str, Any]
) -> Iterator[Platform]:
    """A platform that runs, and leaves nothing behind."""
    platform = Platform(state, overrides, desktops=desktops)
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()
        shutil.rmtree(state, ignore_errors=True)


@contextlib.contextmanager
def running_on(site: DemoSite, make: Callable[[], P]) -> Iterator[P]:
    """A platform that runs, on a site that is started before it is made, and stopped after it."""
    try:
        site.start(lambda _line: None)
        platform = make()
        try:
            platform.start()
            yield platform
        finally:
            platform.stop()
    finally:
        site.stop()
