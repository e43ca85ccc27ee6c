"""What every answer carries: a strict policy, nothing inline, nothing from elsewhere, no secrets."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from hub.settings import SERVICE_PREFIX
from hub.static.collect import static_folder
from tests.support.demo_access import dataset
from tests.support.platform import Platform, Visitor, wait_until

SignIn = Callable[[str], Visitor]

PAGES = [
    "",
    "new",
    "launch?dataset=ds-ma5501-lab6-series",
    "data",
    "templates",
    "usage",
    "operate",
    "signed-out",
    "parts/sessions",
    "parts/form",
    "no-such-page",
    "launches/0000000000000000",
]

STRICT = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}


class _Reader(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self._in = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.inline += [f"{tag} {name}" for name in values if name.startswith("on") or name == "style"]
        for name in ("src", "srcset", "action", "formaction", "poster", "data"):
            if name in values:
                self.loads.append(values[name])
        if tag == "link" or (tag == "use" and "href" in values):
            self.loads.append(values.get("href", ""))
        is_code = tag in {"script", "style"} and "src" not in values
        self._in = tag if is_code and values.get("type") not in {"application/json"} else ""

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in and data.strip():
            self.inline.append(f"<{self._in}> {data.strip()[:60]}")


def assert_headers(reply: httpx.Response) -> None:
    policy = {part.strip() for part in reply.headers["Content-Security-Policy"].split(";")}
    assert policy >= STRICT, policy
    assert "unsafe" not in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] in {"same-origin", "no-referrer"}
    assert not re.search(r"\d", reply.headers.get("Server", "")), reply.headers["Server"]
    assert "X-Powered-By" not in reply.headers


@pytest.mark.parametrize("path", PAGES, ids=[path or "home" for path in PAGES])
def test_a_page_runs_nothing_inline_and_loads_nothing_from_elsewhere(person: SignIn, path: str) -> None:
    reply = person("sam").page(path)
    assert_headers(reply)
    assert reply.headers["Cache-Control"] == "no-store"
    reader = _Reader()
    reader.feed(reply.text)
    assert reader.inline == []
    assert [url for url in reader.loads if not _is_own(url)] == []


def _is_own(url: str) -> bool:
    return url.startswith(("/services/panhub/", "/hub/", "data:image/", "#")) or url == ""


def test_the_hubs_own_pages_load_nothing_from_elsewhere(platform: Platform) -> None:
    for path in ("/hub/login", "/hub/no-such-page"):
        reply = httpx.get(f"{platform.url}{path}", headers={"Accept": "text/html"}, follow_redirects=False)
        reader = _Reader()
        reader.feed(reply.text)
        assert [url for url in reader.loads if not _is_own(url)] == [], path
        assert "frame-ancestors" in reply.headers["Content-Security-Policy"]


def test_answers_of_the_api_carry_the_headers(platform: Platform, person: SignIn) -> None:
    for reply in (
        person("sam").api("GET", "/launches"),
        person("sam").api("GET", "/launches/0000000000000000"),
        person("sam").api("POST", "/launches", content=b"{"),
        httpx.get(f"{platform.url}{SERVICE_PREFIX}/api/v1/openapi.json"),
        httpx.get(f"{platform.url}{SERVICE_PREFIX}/health"),
        httpx.get(f"{platform.settings.service.url}/internal/sessions"),
    ):
        assert_headers(reply)


def test_static_files_name_no_other_site(platform: Platform) -> None:
    files = [path for path in static_folder().rglob("*") if path.suffix in {".css", ".js", ".svg", ".html"}]
    assert files, "the static files were not collected"
    for path in files:
        text = path.read_text(errors="replace")
        for found in re.finditer(r"https?://[^\s\"'`)]+", text):
            before = text[max(0, found.start() - 60) : found.start()]
            assert not re.search(r"(url\(|import\s*\(?|fetch\(|src=)[\"'`]?$", before), (path, found[0])


def test_cookies_of_hub_and_pages_are_kept_from_scripts_and_other_sites(person: SignIn) -> None:
    maja = person("maja")
    # Below /user/ are those of Jupyter's own server, which only its session sees.
    cookies = [c for c in maja.client.cookies.jar if c.value and not c.path.startswith("/user/")]
    assert cookies
    for cookie in cookies:
        rest = {name.lower(): (value or "").lower() for name, value in cookie._rest.items()}  # type: ignore[attr-defined]
        if cookie.name != "_xsrf":
            assert "httponly" in rest, cookie.name
        assert rest.get("samesite") in {"lax", "strict"}, (cookie.name, cookie.path, rest)


def secrets_of(platform: Platform, *visitors: Visitor) -> dict[str, str]:
    """Every secret of this run that a test can know, by a name that may be printed."""
    found = {path.name: path.read_text().strip() for path in (platform.state / "secrets").iterdir()}
    for visitor in visitors:
        found[f"{visitor.username} token"] = visitor.token
        for cookie in visitor.client.cookies.jar:
            if cookie.value and len(cookie.value) > 15 and cookie.name != "_xsrf":
                found[f"{visitor.username} {cookie.name} {cookie.path}"] = cookie.value.strip('"')
    return found


def with_descendants(pids: list[int]) -> set[int]:
    """Processes and all that they started."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def command_line(pid: int) -> str:
    """Arguments of a process; empty once it is over."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def test_no_secret_is_in_a_log_a_command_line_or_a_session(platform: Platform, person: SignIn) -> None:
    maja = person("maja")
    launch = maja.launch(inputs=[dataset("ma5501")], template="auto")
    maja.wait_for(launch["id"], "running")
    environment = maja.open_session(launch).run("import os; print(dict(os.environ))")
    [token] = re.findall(r"'JUPYTERHUB_API_TOKEN': '([^']+)'", environment)
    known = secrets_of(platform, maja, person("sam"))

    assert [name for name, value in known.items() if value in environment] == []
    known["session token"] = token
    logs = [*(platform.state / "logs").iterdir(), *(platform.state / "local").rglob("*.log")]
    assert len(logs) >= 5
    for path in logs:
        # A session's own log is its person's; the id of their browser's session opens nothing.
        is_own = path.parent != platform.state / "logs"
        bad = {name: value for name, value in known.items() if not (is_own and "session-id" in name)}
        for line in path.read_text(errors="replace").splitlines():
            assert [name for name, value in bad.items() if value in line] == [], (path.name, line)
    pids = with_descendants([*(p.pid for p in platform.processes.values()), *platform.session_processes()])
    commands = [command for pid in pids if (command := command_line(pid))]
    assert any("jupyterhub-singleuser" in command or "session" in command for command in commands)
    for command in commands:
        assert [name for name, value in known.items() if value in command] == [], command
    [(stored,)] = platform.database(
        "SELECT plan || summary || request || handle FROM launches WHERE id = :id", id=launch["id"]
    )
    assert [name for name, value in known.items() if value in stored] == []

    maja.api("DELETE", f"/launches/{launch['id']}")
    maja.wait_for(launch["id"], "ended")
    wait_until(
        lambda: (
            httpx.get(f"{platform.url}/hub/api/user", headers={"Authorization": f"token {token}"}).status_code
            == 403
        ),
        "the ended session's token still works",
        15,
    )


def test_files_of_the_platform_are_closed_to_others(platform: Platform) -> None:
    assert platform.state.stat().st_mode & 0o077 == 0
    for path in (platform.state / "secrets").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name
