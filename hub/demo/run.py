"""The whole of a demo: a facility, its configuration and all processes, for as long as it is wanted.

`running_demo` is what `panhub demo`, `panhub smoke` and the browser tests share.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.demo.configure import HOST, Ports, write_configuration
from hub.demo.desktops import prepare_desktops
from hub.demo.facility import DemoDataError, make_facility
from hub.demo.install import PROXY, ROOT, SESSION_ENVIRONMENT, TOOLS, find_node
from hub.demo.moved import link_people
from hub.demo.people import PEOPLE
from hub.demo.progress import Progress
from hub.demo.site import DemoSite, SiteError
from hub.demo.supervisor import Program, StateLock, Supervisor, SupervisorError, answers, until_told_to_stop
from hub.desktop import settings as desktop
from hub.desktop.settings import DesktopSettings
from hub.settings import SERVICE_PREFIX, Settings, read_secret

_ROUTES_WITHIN_S = 30.0
"""The hub tells the proxy its routes shortly after it is up."""

_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs."""

    url: str
    config: Path
    settings: Settings
    ports: Ports
    logs: Mapping[str, Path]


async def run_demo(state: Path, ports: Ports, *, with_logs: bool, site: DemoSite | None = None) -> None:
    """Run a demo until SIGINT or SIGTERM, telling a person what happens.

    Raises
    ------
    SupervisorError
        If a part does not come up or the folder is in use.
    """

    began = time.monotonic()

    async def serve() -> None:
        async with running_demo(state, ports, _Steps(), site) as demo:
            print(welcome(demo, time.monotonic() - began), flush=True)
            await (_follow(demo.logs) if with_logs else asyncio.Event().wait())

    await until_told_to_stop(serve())
    print("Stopped.", flush=True)


@asynccontextmanager
async def running_demo(
    state: Path, ports: Ports, say: Say, site: DemoSite | None = None, *, with_desktops: bool = True
) -> AsyncIterator[Demo]:
    """A demo that answers at its public address; all its processes end with the context.

    ``state`` is an absolute path; ``site`` is where sessions run, if not on this machine. ``with_desktops``:
    it has desktops if this machine can. The calling process gets the umask 077.

    Raises
    ------
    SupervisorError
        If a part does not come up, the folder is in use or the facility cannot be made.
    """
    with StateLock(state):
        supervisor = Supervisor(state, say)
        try:
            desktops = await asyncio.to_thread(prepare_desktops, say) if with_desktops else None
            if site is not None:
                site.has_desktops = desktops is not None
                await _start_site(site, say)
            os.umask(0o077)
            await asyncio.to_thread(_make_facility, state, say)
            if site is not None:
                await asyncio.to_thread(_told, site.share_data)
                await supervisor.start(*site.programs())
            config, settings = await asyncio.to_thread(write_configuration, state, ports, site, desktops)
            await asyncio.to_thread(link_people, settings)
            await supervisor.start(*await asyncio.to_thread(programs, config, settings, ports))
            await _wait_for_routes(f"{settings.site.public_url}{SERVICE_PREFIX}/health")
            yield Demo(settings.site.public_url, config, settings, ports, supervisor.logs)
        finally:
            # A cancelled start must not cut the clean-up short.
            await asyncio.shield(_close(supervisor, site))


async def _start_site(site: DemoSite, say: Say) -> None:
    """Start it; a start that is cancelled ends at its next step, and is waited for."""
    is_cancelled = threading.Event()

    def step(line: str) -> None:
        if is_cancelled.is_set():
            raise SiteError("The start was cancelled.")
        say(line)

    os.umask(0o022)  # other people's sessions read what it makes
    starting = asyncio.ensure_future(asyncio.to_thread(_told, lambda: site.start(step)))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        is_cancelled.set()
        # That ends what the start waits for.
        await asyncio.to_thread(site.stop)
        await asyncio.gather(starting, return_exceptions=True)
        raise


def _told(step: Callable[[], None]) -> None:
    """Do a step of a site; what it says of its failure is for the person at the demo."""
    try:
        step()
    except SiteError as error:
        raise SupervisorError(str(error)) from error


async def _close(supervisor: Supervisor, site: DemoSite | None) -> None:
    await supervisor.aclose()
    if site is not None:
        await asyncio.to_thread(site.stop)


def programs(config: Path, settings: Settings, ports: Ports) -> tuple[Program, ...]:
    """The demo's processes in the order of their start.

    Raises
    ------
    SupervisorError
        If Node is missing.
    """
    kept = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith("PANHUB_")}
    ours = {**kept, "PANHUB_CONFIG": str(config), "PYTHONUNBUFFERED": "1"}
    bin_folder = Path(sys.executable).parent
    tunnel = (_tunnel(bin_folder, settings.desktop, ours),) if settings.desktop else ()
    return (
        _provider(settings, ours),
        _proxy(settings, ports, kept),
        Program(
            "service",
            (str(bin_folder / "panhub"), "serve"),
            ours,
            f"{settings.service.url}{SERVICE_PREFIX}/health",
            stop_timeout_s=40.0,  # it ends the sessions first
        ),
        Program(
            "hub",
            (str(bin_folder / "jupyterhub"), "-f", str(ROOT / "jupyterhub_config.py")),
            ours,
            f"{settings.hub.api_url}/",
        ),
        *tunnel,
    )


def _tunnel(bin_folder: Path, settings: DesktopSettings, environment: Mapping[str, str]) -> Program:
    return Program(
        "desktop",
        (str(bin_folder / "panhub"), "desktop"),
        environment,
        f"{settings.url}{desktop.SERVICE_PREFIX}/health",
    )


def _provider(settings: Settings, environment: Mapping[str, str]) -> Program:
    flags = {
        "--issuer": settings.identity.issuer,
        "--client-id": settings.identity.client_id,
        "--client-secret-file": str(settings.identity.client_secret_file),
        "--redirect-uri": f"{settings.site.public_url}/hub/oauth_callback",
    }
    return Program(
        "provider",
        (sys.executable, "-m", "hub.demo.provider", *_words(flags)),
        environment,
        f"{settings.identity.issuer}/.well-known/openid-configuration",
    )


def _proxy(settings: Settings, ports: Ports, environment: Mapping[str, str]) -> Program:
    found = find_node()
    if found is None:
        raise SupervisorError("Node 20 or newer is missing: run make demo once.")
    hub = f"http://{settings.hub.bind}:{ports.hub}"
    flags = {
        "--ip": HOST,
        "--port": str(ports.public),
        "--api-ip": HOST,
        "--api-port": str(ports.proxy_api),
        "--default-target": hub,
        "--error-target": f"{hub}/hub/error",
        "--log-level": "warn",
    }
    return Program(
        "proxy",
        (found[0], str(PROXY), *_words(flags)),
        {**environment, "CONFIGPROXY_AUTH_TOKEN": read_secret(settings.hub.proxy_token_file)},
        f"{settings.hub.proxy_api_url}/api/routes",
    )


def _words(flags: Mapping[str, str]) -> Iterator[str]:
    return (word for flag in flags.items() for word in flag)


def welcome(demo: Demo, seconds: float) -> str:
    """What a person needs to go on: the address and who they can be."""
    width = max(len(person.name) for person in PEOPLE)
    people = "\n".join(f"    {person.name:<{width}}  {person.what}" for person in PEOPLE)
    return (
        f"\nPaNHub is ready after {seconds:.1f} s:  {demo.url}\n\n"
        f"Sign in as one of these people, by a click:\n\n{people}\n\n"
        f"Logs are in {next(iter(demo.logs.values())).parent}. Ctrl-C stops everything."
    )


class _Steps:
    """Prints each line with the time since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, line: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {line}", flush=True)


async def _follow(logs: Mapping[str, Path]) -> None:
    """Print what is added to the logs, each line with the name of its program. Never returns."""
    ends = {name: path.stat().st_size for name, path in logs.items()}
    width = max(len(name) for name in logs)
    while True:
        await asyncio.sleep(0.3)
        for name, path in logs.items():
            text, ends[name] = await asyncio.to_thread(_added, path, ends[name])
            for line in text.splitlines():
                print(f"{name:>{width}} | {line}", flush=True)


def _added(path: Path, start: int) -> tuple[str, int]:
    """Whole lines after ``start``, and where they end."""
    with path.open("rb") as file:
        file.seek(start)
        raw = file.read()
    end = raw.rfind(b"\n") + 1
    return raw[:end].decode(errors="replace"), start + end


def _make_facility(state: Path, say: Say) -> None:
    # The installer's own uv fetches the measured files where the system has none.
    os.environ["PATH"] = os.pathsep.join([str(TOOLS / "uv/bin"), os.environ.get("PATH", "")])
    say("making what is missing of the demo facility")
    try:
        make_facility(state, SESSION_ENVIRONMENT / "bin/python", Progress())
    except DemoDataError as error:
        raise SupervisorError(str(error)) from error


async def _wait_for_routes(url: str) -> None:
    deadline = time.monotonic() + _ROUTES_WITHIN_S
    # Before there is a route the proxy leads to the hub, which sends elsewhere.
    while not await answers(url, below=300):
        if time.monotonic() > deadline:
            raise SupervisorError(f"{url} does not answer through the proxy")
        await asyncio.sleep(0.1)
