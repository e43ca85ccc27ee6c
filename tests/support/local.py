"""What tests of the local backend need: a hub's answers, plans, and a server that starts at once.

`HubStub` answers what `jupyterhub-singleuser` asks at its start and takes the report of the port;
it knows one user with one token and checks no OAuth. `quick_environment` makes an environment
whose server is thirty lines of Python, told by TEST_BEHAVIOUR what to do.
"""

from __future__ import annotations

import http.server
import json
import os
import secrets
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

from spawners.plan import (
    Account,
    Credentials,
    Environment,
    Interface,
    LaunchId,
    LaunchPlan,
    Mount,
    MountMode,
    PlannedFile,
    Size,
)

ROOT = Path(__file__).resolve().parents[2]

QUICK_SERVER = """\
import errno, http.server, json, os, signal, subprocess, sys, time, urllib.parse
behaviour = os.environ.get("TEST_BEHAVIOUR", "serve")
if behaviour == "die":
    print("no module named surprise", flush=True)
    sys.exit(3)
if behaviour == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if behaviour == "orphan":
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
if behaviour == "child-eats":
    subprocess.Popen([sys.executable, "-c", "import time; x = bytearray(300 << 20); time.sleep(1000)"])
url = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def do_POST(self):
        # Runs what the test asks, as the session: real reads and writes, as a person's notebook does.
        code = self.rfile.read(int(self.headers["Content-Length"])).decode()
        names = {}
        try:
            exec(code, names)
            found = names["result"]
        except OSError as error:
            found = errno.errorcode[error.errno]
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(found).encode())
    def log_message(self, *args):
        pass
if behaviour == "port-race" and not os.path.exists("raced"):
    open("raced", "w").close()
    keep = subprocess.Popen([sys.executable, "-c",
        "import socket, sys, time; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen();"
        "print(1, flush=True); time.sleep(3)", str(url.port)], stdout=subprocess.PIPE, start_new_session=True)
    keep.stdout.readline()
server = http.server.HTTPServer(("127.0.0.1", url.port), Handler)
if behaviour == "eats":
    hold = bytearray(300 << 20)
server.serve_forever()
"""


@dataclass
class Report:
    """One report of a port as it arrived."""

    path: str
    authorization: str
    body: dict


@dataclass
class HubStub:
    """Answers of hub and engine. ``report_statuses`` are given in turn; the last one again."""

    token: str = field(default_factory=lambda: secrets.token_hex(16))
    reports: list[Report] = field(default_factory=list)
    report_statuses: list[int] = field(default_factory=lambda: [204])
    url: str = ""

    def answer_get(self, handler):
        path = handler.path.partition("?")[0].rstrip("/")
        if path == "/hub/api":
            return 200, {"version": "6.1.1"}
        if path == "/hub/api/user":
            if handler.headers.get("Authorization") not in {f"token {self.token}", f"Bearer {self.token}"}:
                return 403, {}
            scopes = ["access:servers!server=alice/", "users!user=alice", "read:users!user=alice"]
            return 200, {"name": "alice", "kind": "user", "admin": False, "groups": [], "scopes": scopes}
        return 404, {}

    def answer_post(self, handler, body):
        if not handler.path.startswith("/internal/reports/"):
            return 200, {}
        self.reports.append(Report(handler.path, handler.headers.get("Authorization", ""), json.loads(body)))
        statuses = self.report_statuses
        return (statuses.pop(0) if len(statuses) > 1 else statuses[0]), {}


@contextmanager
def hub_stub(port: int = 0, stub: HubStub | None = None):
    """A running `HubStub`."""
    stub = stub or HubStub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _reply(self, status, content):
            payload = b"" if status == 204 else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.send_header("X-JupyterHub-Version", "6.1.1")
            self.end_headers()
            self.wfile.write(payload)

        def do_GET(self):
            self._reply(*stub.answer_get(self))

        def do_POST(self):
            length = int(self.headers.get("Content-Length", 0))
            self._reply(*stub.answer_post(self, self.rfile.read(length)))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()


def quick_environment(folder: Path) -> Environment:
    """An environment with a server that starts at once."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(Path(sys.executable).resolve())
    server = programs / "jupyterhub-singleuser"
    server.write_text(f"#!{programs}/python -IS\n{QUICK_SERVER}")
    server.chmod(0o755)
    return Environment("quick", "Quick", PurePosixPath(folder), "0" * 64)


def notebook_environment() -> Environment | None:
    """The demo's notebook environment; None if it was not made."""
    folder = Path(os.environ.get("PANHUB_TEST_ENVIRONMENT", ROOT / "build" / "environments" / "pan-core"))
    if not (folder / "bin" / "jupyterhub-singleuser").exists():
        return None
    return Environment("pan-core", "Core", PurePosixPath(folder), "0" * 64)


@dataclass
class Site:
    """A storage with two proposals and two homes, and plans for sessions on it."""

    root: Path
    environment: Environment

    def __post_init__(self):
        for proposal in ("hc1", "hc2"):
            for area in ("RAW_DATA", "PROCESSED_DATA"):
                folder = self.root / "data" / proposal / "id11" / "20250101" / area
                folder.mkdir(parents=True)
                (folder / "secret.txt").write_text(f"{proposal} {area}")
        for name in ("alice", "bob"):
            home = self.root / "homes" / name
            home.mkdir(parents=True)
            (home / "private.txt").write_text(name)

    @property
    def home(self) -> Path:
        return self.root / "homes" / "alice"

    @property
    def visit(self) -> Path:
        return self.root / "data" / "hc1" / "id11" / "20250101"

    def plan(self, **changes) -> LaunchPlan:
        """A plan for alice on hc1: raw read-only, processed writable."""
        shown = PurePosixPath("/data/visitor/hc1/id11/20250101")
        source = PurePosixPath(self.visit)
        plan = LaunchPlan(
            launch_id=LaunchId(secrets.token_hex(8)),
            username="alice",
            server_name="one",
            interface=Interface.LAB,
            account=Account("alice", 12345, 12345, PurePosixPath(self.home)),
            environment=self.environment,
            size=Size("small", "Small", 1, 2048),
            place="local",
            walltime=timedelta(hours=1),
            mounts=(
                Mount(source / "RAW_DATA", shown / "RAW_DATA", MountMode.READ_ONLY, "team"),
                Mount(source / "PROCESSED_DATA", shown / "PROCESSED_DATA", MountMode.READ_WRITE, "team"),
            ),
            workdir=PurePosixPath("work/first"),
            files=(PlannedFile(PurePosixPath("plot.ipynb"), NOTEBOOK),),
            open_path=PurePosixPath("work/first/plot.ipynb"),
            data_link=PurePosixPath("data"),
        )
        return replace(plan, **changes)


NOTEBOOK = json.dumps(
    {
        "cells": [],
        "metadata": {"data": "/data/visitor/hc1/id11/20250101/RAW_DATA/scan"},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
)


def credentials(stub: HubStub, plan: LaunchPlan, **environment: str) -> Credentials:
    """What the hub gives a session of alice."""
    return Credentials(
        environment={
            "JUPYTERHUB_API_TOKEN": stub.token,
            "JUPYTERHUB_API_URL": f"{stub.url}/hub/api",
            "JUPYTERHUB_ACTIVITY_URL": f"{stub.url}/hub/api/users/alice/activity",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_HOST": "",
            "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-alice",
            "JUPYTERHUB_USER": "alice",
            "JUPYTERHUB_SERVER_NAME": "",
            "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/",
            "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:0/user/alice/",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/alice/oauth_callback",
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!server=alice/"]',
            "JUPYTERHUB_OAUTH_SCOPES": '["access:servers!server=alice/"]',
            **environment,
        },
        report_url=f"{stub.url}/internal/reports/{plan.launch_id}",
        report_secret=f"report-{plan.launch_id}",
    )


def request(stub: HubStub, port: int, path: str, body=None) -> tuple[int, bytes]:
    """Ask a session's server as alice; status and content."""
    headers = {"Authorization": f"token {stub.token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/user/alice/{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def run_inside(port: int, code: str):
    """Run code in a session with the quick server; its ``result``, or the name of its OSError."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/", data=code.encode())
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return json.load(answer)


def wait_until(found, timeout_s: float = 60.0, what: str = ""):
    """Value of ``found()`` as soon as it is true; fails after the time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout_s} s in vain for {what or found}")
