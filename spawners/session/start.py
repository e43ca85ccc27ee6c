"""First process of a session: prepare the working folder, start the server, report its port.

Run as ``python -I -S start.py`` by the environment's own Python (3.10 or newer), inside the data
view, with its specification as one JSON object on standard input:

``environment``, ``command``
    Environment and argument vector of the notebook server. JUPYTERHUB_SERVICE_URL gets the port.
``home``, ``workdir``, ``files``, ``data_link``, ``open_path``
    What is put into the working folder, and what the interface shows first; see `spawners.plan`.
``inherited``
    Names of variables that are taken from this process as well: what a container sets for its GPUs.
``host``
    IPv4 address on which the server listens, where the proxy reaches it: the loopback on one machine,
    on a node its address in the site's network; ``0.0.0.0`` only where the site says so. Whoever
    reaches it there meets JupyterHub's login: the server answers only to the session's person.
``port``
    Port on which it listens, where the place has one for all (a pod's own address); null: any free one.
``kernels``
    Folder for kernels of the person's own environments (`spawners.session.kernels`), or null.
``desktop``
    What is started beside the server (`spawners.session.desktopchild`), or null.
``report_url``, ``report_secret``
    Where the port is reported, once; the secret never enters the server's environment. The address is
    not reported: the engine knows where the session runs from who started it.
``dies_with_parent``
    Whether the server must be tied to this process (no process namespace does it).

It stays as the server's parent, hands on SIGTERM, collects orphans where it is the first process
of a namespace, and ends with the server's exit code. Standard library only, few imports: it is on
the way of every start.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

_LOOPBACK = "127.0.0.1"
_ANY = "0.0.0.0"  # noqa: S104 - compared with
_PORTS_TRIED = 5
"""A port may be taken by another between our look and the server's: this often another is tried."""

_SIBLINGS = 1000
_LISTEN = "0A"
"""TCP_LISTEN in the kernel's include/net/tcp_states.h, as ``/proc/net/tcp`` writes it."""

_PR_SET_PDEATHSIG = 1
_REPORT_TIMEOUT_S = 10
_REPORT_PAUSE_S = (0.1, 5.0)
"""First and longest pause between two reports to an engine that does not answer."""

EXIT_REFUSED = 78
"""Exit code (EX_CONFIG of sysexits.h) when the working folder cannot be used."""

EXIT_NO_DESKTOP = 88
"""Exit code when a desktop is asked for and cannot be (`spawners.session.exits`)."""


class RefusedError(Exception):
    """The working folder is not what it should be; the text is for the person."""


# --- working folder -----------------------------------------------------------------------------


def open_folder(base: int, path: PurePosixPath, mode: int = 0o755) -> int:
    """Descriptor of a folder below ``base``, made where it is missing, without following links.

    Raises
    ------
    RefusedError
        If a part of the path is a link or a file.
    """
    here = os.dup(base)
    for part in path.parts:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, mode, dir_fd=here)
        try:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise RefusedError(
                    f"“{part}” in “{path}” is a link or a file; a folder is needed."
                ) from error
            raise
        finally:
            os.close(here)
        here = below
    return here


def siblings(name: str) -> list[str]:
    """The name, then ``name-1``, ``name-2`` … with the same ending."""
    stem, dot, ending = name.partition(".")
    return [name, *(f"{stem}-{n}{dot}{ending}" for n in range(1, _SIBLINGS))]


def write_new(folder: int, name: str, content: bytes) -> str:
    """Write a file that is not there yet; returns its name.

    A file of this name with another content is never touched: a numbered sibling is written.
    """
    for candidate in siblings(name):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            target = os.open(candidate, flags, 0o644, dir_fd=folder)
        except FileExistsError:
            if has_content(folder, candidate, content):
                return candidate
            continue
        with os.fdopen(target, "wb") as file:
            file.write(content)
        return candidate
    raise RefusedError(f"There are too many files named like “{name}” in the working folder.")


def has_content(folder: int, name: str, content: bytes) -> bool:
    """Whether a file, not a link, has exactly this content."""
    try:
        # Non-blocking: it could be a pipe that nobody writes to.
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(found, "rb") as file:
            return file.read(len(content) + 1) == content
    except OSError:
        return False


def link_new(folder: int, name: str, target: str) -> None:
    """Make a link that is not there yet; never over something else."""
    for candidate in siblings(name):
        with contextlib.suppress(FileExistsError):
            os.symlink(target, candidate, dir_fd=folder)
            return
        with contextlib.suppress(OSError):  # not a link: something of the person's own
            if os.readlink(candidate, dir_fd=folder) == target:
                return


def prepare(spec: dict[str, Any]) -> str | None:
    """Put files and link into the working folder; returns what to show first, below the home."""
    home = os.open(spec["home"], os.O_RDONLY | os.O_DIRECTORY)
    workdir = PurePosixPath(spec["workdir"])
    open_path: str | None = spec["open_path"]
    work = open_folder(home, workdir)
    for file in spec["files"]:
        path = PurePosixPath(file["path"])
        folder = open_folder(work, path.parent)
        written = write_new(folder, path.name, file["content"].encode())
        os.close(folder)
        if open_path == str(workdir / path):
            open_path = str(workdir / path.with_name(written))
    link = spec["data_link"]
    if link:
        path = PurePosixPath(link["path"])
        folder = open_folder(work, path.parent)
        link_new(folder, path.name, link["target"])
        os.close(folder)
    os.close(work)
    os.close(home)
    return open_path


# --- server -------------------------------------------------------------------------------------


class Session:
    """The notebook server as a child of this process."""

    def __init__(self, spec: dict[str, Any]) -> None:
        # Only without a view of its own, under a service that runs as root: jupyter_server asks for a yes.
        as_root = ["--allow-root"] if os.geteuid() == 0 else []
        self._command: list[str] = [*spec["command"], *as_root]
        inherited = {name: os.environ[name] for name in spec.get("inherited", ()) if name in os.environ}
        self._environment: dict[str, str] = {**spec["environment"], **inherited}
        self._host: str = spec["host"]
        self._address = _LOOPBACK if self._host == _ANY else self._host
        self._given_port: int | None = spec.get("port")
        self._kernels: str | None = spec["kernels"]
        self._home: str = spec["home"]
        self._dies_with_parent: bool = spec["dies_with_parent"]
        self._is_ending = False
        self._pid = 0
        self._desktop: Any = None
        self.code: int | None = None
        self.port = 0
        self.base_path = urlsplit(self._environment.get("JUPYTERHUB_SERVICE_URL", "")).path or "/"

    def show_first(self, open_path: str | None) -> None:
        """Let JupyterLab open with this file of the home folder."""
        if open_path is not None:
            self._environment["JUPYTERHUB_DEFAULT_URL"] = f"/lab/tree/{quote(open_path)}"

    def end(self, *_: object) -> None:
        """Hand on SIGTERM, once: a second one would stop the server's own orderly end."""
        if not self._is_ending and self._pid:
            os.kill(self._pid, signal.SIGTERM)
        self._is_ending = True

    def open_desktop(self, wanted: dict[str, Any]) -> str:
        """Start a desktop beside the server; else returns why there can be none here."""
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        import desktop  # type: ignore[import-not-found]  # beside this file, which is no package here
        import desktopchild  # type: ignore[import-not-found]

        why_not: str = desktop.why_not(self._environment["PATH"])
        if why_not:
            return why_not
        prefix = Path(self._command[0]).parents[1]
        self._desktop = child = desktopchild.DesktopChild(
            wanted, prefix=prefix, dies_with_parent=self._dies_with_parent
        )
        child.start(self._environment)
        self._environment.update(child.variables())
        return ""

    def start_answering(self) -> bool:
        """Start the server and wait until it answers; False if it ended instead."""
        for _ in range(_PORTS_TRIED):
            self._start()
            self._find_kernels()
            while not self.has_ended():
                if self._answers():
                    return True
            if self._is_ending or port_is_free(self._host, self.port):
                return False
            print(f"Port {self.port} was taken by another process; trying the next.", flush=True)
            self.code = None
        return False

    def _start(self) -> None:
        self.port = self._given_port or free_port(self._host)
        environment = {
            **self._environment,
            "JUPYTERHUB_SERVICE_URL": f"http://{self._host}:{self.port}{self.base_path}",
        }
        self._started = time.monotonic()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._become(environment, parent)
        if self._is_ending:  # the request came between the look and the fork
            os.kill(self._pid, signal.SIGTERM)

    def _become(self, environment: dict[str, str], parent: int) -> None:
        """In the forked child: turn into the server. Never returns."""
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if self._dies_with_parent:
                die_with_parent(parent)
            os.chdir(self._home)
            os.execve(self._command[0], self._command, environment)  # noqa: S606 - no shell
        except OSError as error:
            print(f"{self._command[0]}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(127)

    def _find_kernels(self) -> None:
        """Look for kernels of the person's own, in a child: a slow home must not hold up the start."""
        if self._kernels is None or os.fork():
            return
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            sys.path.insert(0, str(Path(__file__).resolve().parent))
            import kernels  # type: ignore[import-not-found]  # beside this file, which is no package here

            kernels.write(Path(self._kernels), Path(self._home), own=Path(self._command[0]).parents[1])
        except Exception as error:  # whatever is in a home, the session goes on
            print(f"Kernels of your own environments were not looked up: {error}", flush=True)
        finally:
            os._exit(0)

    def _answers(self) -> bool:
        """Whether the server answers; waits a moment if not. Only its own port counts as its answer."""
        waited = time.monotonic() - self._started
        time.sleep(0.01 if waited < 3 else 0.05)
        if port_is_closed(self._address, self.port):
            return False
        sockets = listening(self.port)
        if not sockets or not any(holds_any(pid, sockets) for pid in session_of(self._pid)):
            return False
        status = get_status(self._address, self.port, f"{self.base_path}api")
        return status is not None and status < 500

    def has_ended(self) -> bool:
        """Collect ended children without waiting; whether the server was among them."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        """Wait for the server's end; returns its exit code (128 + n for signal n)."""
        while not self._reap(0):
            pass
        # A request that comes while Python ends would else change the exit code.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self._desktop is not None:
            self._desktop.end()
        assert self.code is not None
        return self.code

    def _reap(self, options: int) -> bool:
        while self.code is None:
            pid, status = os.waitpid(-1, options)
            if pid == 0:
                return False
            if pid == self._pid:
                code = os.waitstatus_to_exitcode(status)
                self.code = code if code >= 0 else 128 - code
        return True


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends."""
    import ctypes  # only views without a process namespace need it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind((host, 0))
        port: int = found.getsockname()[1]
        return port


def port_is_free(host: str, port: int) -> bool:
    """Whether the port could be listened on."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError:
            return False
        return True


def port_is_closed(host: str, port: int) -> bool:
    """Whether nobody listens there: a question that costs little, before those that read ``/proc``."""
    with socket.socket() as tried:
        return tried.connect_ex((host, port)) != 0


def listening(port: int) -> set[str]:
    """Sockets (as ``/proc/<pid>/fd`` names them) that listen on the port; ``/proc/net/tcp`` of proc(5)."""
    suffix = f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()]
    return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(suffix) and row[3] == _LISTEN}


def session_of(pid: int) -> list[int]:
    """Processes in the session that a process leads."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(path.name)) == pid:
                found.append(int(path.name))
    return found


def holds_any(pid: int, sockets: set[str]) -> bool:
    """Whether a process has one of the sockets open."""
    try:
        return any(str(path.readlink()) in sockets for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def get_status(host: str, port: int, path: str) -> int | None:
    """HTTP status of a GET at our own server; None if it does not answer like one."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(request.encode("ascii"))
            return int(connection.recv(64).split()[1])
    except (OSError, ValueError, IndexError):
        return None


# --- report -------------------------------------------------------------------------------------


def report(session: Session, url: str, secret: str) -> None:
    """Tell the engine the port; again while it does not answer, never after it refused."""
    pause, longest = _REPORT_PAUSE_S
    while not session.has_ended():
        try:
            status = post_port(url, secret, session.port)
        except OSError as error:
            print(f"The port could not be reported yet: {error}", flush=True)
        else:
            if status < 500:
                if status >= 300:
                    print(f"The report of the port was refused: {status}", flush=True)
                return
        time.sleep(pause)
        pause = min(2 * pause, longest)


def post_port(url: str, secret: str, port: int) -> int:
    """POST the port; returns the HTTP status.

    Raises
    ------
    OSError
        If there is no answer.
    """
    # 30 ms of imports, which here cost nobody any time: the server runs already.
    import http.client

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or _LOOPBACK, parts.port, timeout=_REPORT_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    try:
        connection.request("POST", parts.path, json.dumps({"port": port}), headers)
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()


# --- all of it ----------------------------------------------------------------------------------


def read_specification() -> dict[str, Any]:
    """Read the specification and leave no trace of it on standard input."""
    spec: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    with contextlib.suppress(OSError):  # a pipe is empty now anyway
        os.ftruncate(0, 0)  # a file in memory, which others keep open for us
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    return spec


def main() -> int:
    """Run the session; returns its exit code."""
    spec = read_specification()
    session = Session(spec)
    signal.signal(signal.SIGTERM, session.end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        session.show_first(prepare(spec))
    except RefusedError as error:
        print(error, file=sys.stderr, flush=True)
        return EXIT_REFUSED
    if spec.get("desktop") and (why_not := session.open_desktop(spec["desktop"])):
        print(why_not, file=sys.stderr, flush=True)
        return EXIT_NO_DESKTOP
    if session.start_answering():
        report(session, spec["report_url"], spec["report_secret"])
        spec.clear()
    return session.wait()


if __name__ == "__main__":
    sys.exit(main())
