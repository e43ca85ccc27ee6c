"""guacd in its sandbox: what it answers, and what it cannot reach, see or do."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from hub.desktop.guacd import Guacd, GuacdError
from hub.desktop.guacdfilter import seccomp_program
from hub.desktop.settings import AddressedGuacd, SandboxedGuacd
from tests.support.guacd import guacd_root, instruction, read_instruction, running_guacd, shake_hands, until
from tests.support.workstations import Machine, free_port, vnc_machine

pytestmark = pytest.mark.asyncio(loop_scope="module")

_DEADLINE_S = 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guacd() -> AsyncIterator[Guacd]:
    async with running_guacd() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with vnc_machine(tmp_path_factory.mktemp("vnc")) as running:
        yield running


async def test_handshake_is_answered(guacd: Guacd) -> None:
    reader, writer = await guacd.connect()
    with closing(writer):
        writer.write(instruction("select", "vnc"))
        opcode, version, *names = await read_instruction(reader)
    assert (opcode, version) == ("args", "VERSION_1_3_0")
    assert {"hostname", "port", "read-only", "clipboard-encoding"} <= set(names)


@pytest.mark.parametrize("protocol", ["vnc", "rdp", "ssh"])
async def test_every_protocol_is_there(guacd: Guacd, protocol: str) -> None:
    reader, writer = await guacd.connect()
    with closing(writer):
        writer.write(instruction("select", protocol))
        assert (await read_instruction(reader))[0] == "args"


async def test_a_desktop_is_drawn_through_a_join(guacd: Guacd, machine: Machine) -> None:
    async with _shown(guacd, machine) as (reader, _):
        assert (await until(reader, "size"))[2:] == ["1024", "768"]
        assert (await until(reader, "sync", "error"))[0] == "sync"


async def test_nobody_reaches_it_from_outside(guacd: Guacd) -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", 4822)
    assert _inside(guacd, "ns/net") != Path("/proc/self/ns/net").stat().st_ino


async def test_it_reaches_nothing_but_joins(guacd: Guacd, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the loopback of the machine nor its addresses; the positive case is the drawn desktop.

    guacd's log says when it gave up: 1.3.0 now and then forgets to tell who asked, as when one fails early.
    """
    caplog.set_level("INFO")
    came: list[str] = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append("a connection")
        writer.close()

    server = await asyncio.start_server(note, "0.0.0.0", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for host in ("127.0.0.1", _own_address()):
            reader, writer = await guacd.connect()
            with closing(writer):
                await shake_hands(reader, writer, "vnc", {"hostname": host, "port": str(port)})
                await _said(caplog, "Unable to connect to VNC server")
            caplog.clear()
    assert not came
    routes = Path(f"/proc/{_first_process(guacd)}/net/route").read_text().splitlines()
    interfaces = Path(f"/proc/{_first_process(guacd)}/net/dev").read_text().splitlines()
    assert routes[1:] == []
    assert [line.split(":")[0].strip() for line in interfaces[2:]] == ["lo"]


async def test_join_takes_one_connection_only(guacd: Guacd) -> None:
    assert guacd.sandbox is not None
    join = await guacd.join()
    first, second = await guacd.sandbox.make_socket(), await guacd.sandbox.make_socket()
    with closing(first), closing(second):
        loop = asyncio.get_running_loop()
        await loop.sock_connect(first, (join.host, join.port))
        reader, writer = await join.accept(_DEADLINE_S)
        with closing(writer):
            await loop.sock_sendall(first, b"one")
            assert await reader.readexactly(3) == b"one"
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(second, (join.host, join.port))


async def test_join_is_not_seen_from_outside(guacd: Guacd) -> None:
    with await guacd.join() as join, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(join.host, join.port)


async def test_join_closes_when_nobody_comes(guacd: Guacd) -> None:
    assert guacd.sandbox is not None
    join = await guacd.join()
    with pytest.raises(TimeoutError):
        await join.accept(0.05)
    with closing(await guacd.sandbox.make_socket()) as late, pytest.raises(ConnectionRefusedError):
        await asyncio.get_running_loop().sock_connect(late, (join.host, join.port))


async def test_it_sees_no_file_of_the_machine(guacd: Guacd, tmp_path: Path) -> None:
    root = Path(f"/proc/{_first_process(guacd)}/root")
    ours = {path.name for path in guacd_root().iterdir()}
    assert {path.name for path in root.iterdir()} == ours
    assert not list((root / "proc").iterdir())
    assert not list((root / "tmp").iterdir())
    assert not (root / str(tmp_path).lstrip("/")).exists()
    assert [path.name for path in root.glob("*bin/*")] == []
    with pytest.raises(OSError, match="Read-only"):
        (root / "usr/written").write_text("")


async def test_it_writes_nothing_outside(
    guacd: Guacd, machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Parameters that make guacd write, which we never send, do so nowhere on the machine."""
    tmp_path.chmod(0o777)
    target = tmp_path / "made"
    caplog.set_level("INFO")
    evil = {"recording-path": str(target), "create-recording-path": "true", "recording-name": "r"}
    async with _shown(guacd, machine, **evil) as (reader, _):
        await until(reader, "sync")
    await _said(caplog, "recording")
    assert not list(tmp_path.iterdir())


async def test_it_has_no_rights(guacd: Guacd) -> None:
    pid = _first_process(guacd)
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split()
    for namespace in ("user", "pid", "ipc", "uts", "cgroup", "net", "mnt"):
        assert _inside(guacd, f"ns/{namespace}") != Path(f"/proc/self/ns/{namespace}").stat().st_ino


async def test_filter_refuses_what_it_says() -> None:
    """In a sandbox that only the filter makes narrow: namespaces and kernel doors, not threads and IP."""
    program = seccomp_program(platform.machine())
    assert program is not None
    file = os.memfd_create("filter")
    os.write(file, program)
    os.lseek(file, 0, os.SEEK_SET)
    script = (
        "import ctypes, errno, os, socket, threading\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def errno_of(call, *words): return 0 if call(*words) >= 0 else ctypes.get_errno()\n"
        "assert errno_of(libc.unshare, 0x10000000) == errno.EPERM\n"
        "assert errno_of(libc.ptrace, 0, 0, 0, 0) == errno.EPERM\n"
        "assert errno_of(libc.setns, 0, 0) == errno.EPERM\n"
        "assert errno_of(libc.syscall, 425, 1, 0) == errno.EPERM\n"
        "for family in (socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK):\n"
        "    try: socket.socket(family, socket.SOCK_RAW)\n"
        "    except OSError as error: assert error.errno == errno.EAFNOSUPPORT, error\n"
        "    else: raise AssertionError(family)\n"
        "for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX): socket.socket(family).close()\n"
        "thread = threading.Thread(target=print, args=('thread',)); thread.start(); thread.join()\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "print('done')\n"
    )
    view = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-user", "--unshare-pid"]
    run = await asyncio.create_subprocess_exec(
        *("bwrap", *view, "--seccomp", str(file), sys.executable, "-I", "-c", script),
        pass_fds=[file],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    os.close(file)
    said = (await run.communicate())[0].decode()
    assert said == "thread\ndone\n"


async def test_its_log_names_no_connection(
    guacd: Guacd, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    reader, writer = await guacd.connect()
    with closing(writer):
        ready = await shake_hands(reader, writer, "vnc", {"hostname": "127.0.0.1", "port": "1"})
        await _said(caplog, "Unable to connect")
    said = " ".join(record.getMessage() for record in caplog.records)
    assert ready[1] not in said


async def test_it_is_started_again(machine: Machine) -> None:
    async with running_guacd() as guacd, _shown(guacd, machine) as (reader, _):
        await until(reader, "sync")
        assert guacd.sandbox is not None
        before = guacd.sandbox.pid
        os.kill(_first_process(guacd), signal.SIGKILL)
        async with asyncio.timeout(_DEADLINE_S):
            with pytest.raises((EOFError, ConnectionError)):
                await until(reader, "nothing")
        async with asyncio.timeout(_DEADLINE_S):
            while not await _answers(guacd):  # the dying one's port may still be taken
                await asyncio.sleep(0.05)
        assert guacd.sandbox.pid != before


async def test_who_waits_for_a_socket_of_one_that_ends_gets_the_next_ones() -> None:
    async with running_guacd() as guacd:
        before = guacd.sandbox
        assert before is not None
        os.kill(before._helper.pid, signal.SIGSTOP)
        asking = asyncio.create_task(_answers(guacd))
        while before._waiting is None:
            await asyncio.sleep(0.01)
        os.kill(_first_process(guacd), signal.SIGKILL)
        async with asyncio.timeout(_DEADLINE_S):
            assert await asking
        assert guacd.sandbox is not before


async def test_it_is_started_again_when_nobody_makes_its_sockets() -> None:
    async with running_guacd() as guacd:
        before = guacd.sandbox
        assert before is not None
        os.kill(before._helper.pid, signal.SIGKILL)
        async with asyncio.timeout(_DEADLINE_S):
            while guacd.sandbox in {None, before} or not await _answers(guacd):
                await asyncio.sleep(0.05)
        assert not Path(f"/proc/{before.pid}").exists() or _is_zombie(before.pid)


async def test_it_ends_with_the_tunnel() -> None:
    """Also when nobody could tell it to: kill -9 of the process that started it."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from hub.desktop.guacd import Guacd\n"
        "from hub.desktop.settings import SandboxedGuacd\n"
        "async def main():\n"
        "    guacd = Guacd(SandboxedGuacd(kind='sandbox', root=Path(sys.argv[1])))\n"
        "    await guacd.start()\n"
        "    print(guacd.sandbox.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    tunnel = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(guacd_root()), stdout=asyncio.subprocess.PIPE
    )
    assert tunnel.stdout is not None
    async with asyncio.timeout(_DEADLINE_S):
        pid = int(await tunnel.stdout.readline())
        family = [pid, *_below(pid), *_below(tunnel.pid)]
        assert len(set(family)) >= 4  # bubblewrap twice, guacd, the helper
        tunnel.kill()
        await tunnel.wait()
        while any(Path(f"/proc/{one}").exists() and not _is_zombie(one) for one in family):
            await asyncio.sleep(0.05)


async def test_root_without_guacd_is_told(tmp_path: Path) -> None:
    guacd = Guacd(SandboxedGuacd(kind="sandbox", root=tmp_path))
    with pytest.raises(GuacdError, match="has no guacd"):
        await guacd.start()


async def test_sandbox_that_does_not_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/guacd").write_text("no program")
    for name in ("dev", "tmp"):
        (tmp_path / name).mkdir()
    guacd = Guacd(SandboxedGuacd(kind="sandbox", root=tmp_path))
    with pytest.raises(GuacdError):
        await guacd.start()
    await guacd.aclose()


async def test_guacd_of_an_address() -> None:
    """A server stands for the operator's guacd: it is connected to, and joins are on the loopback."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(instruction("args", "VERSION_1_5_0"))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        guacd = Guacd(AddressedGuacd(kind="address", host="localhost", port=port))
        await guacd.start()
        reader, writer = await guacd.connect()
        with closing(writer):
            assert await read_instruction(reader) == ["args", "VERSION_1_5_0"]
        join = await guacd.join()
        _, theirs = await asyncio.open_connection(join.host, join.port)
        ours, writer = await join.accept(_DEADLINE_S)
        with closing(writer), closing(theirs):
            theirs.write(b"one")
            assert await ours.readexactly(3) == b"one"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(join.host, join.port)
        await guacd.aclose()


async def test_address_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.desktop.guacd._REACH_S", 0.3)
    guacd = Guacd(AddressedGuacd(kind="address", port=free_port()))
    with pytest.raises(GuacdError, match="does not answer"):
        await guacd.start()
    await guacd.aclose()


class _Shown:
    """A VNC machine shown by guacd through a join; what guacd says of it."""

    def __init__(self, guacd: Guacd, machine: Machine, values: dict[str, str]) -> None:
        self._guacd, self._machine, self._values = guacd, machine, values

    async def __aenter__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        join = await self._guacd.join()
        self._piping = asyncio.create_task(self._pipe(join))
        reader, self._writer = await self._guacd.connect()
        values = {"hostname": join.host, "port": str(join.port), "password": self._machine.password}
        ready = await shake_hands(reader, self._writer, "vnc", {**values, **self._values})
        assert ready[0] == "ready"
        return reader, self._writer

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        self._piping.cancel()
        await asyncio.gather(self._piping, return_exceptions=True)

    async def _pipe(self, join) -> None:
        reader, writer = await join.accept(_DEADLINE_S)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._machine.port)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

        with closing(writer), closing(there_writer):
            await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))


async def _said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Wait until a line of the log has this text."""
    async with asyncio.timeout(_DEADLINE_S):
        while not any(text in record.getMessage() for record in caplog.records):
            await asyncio.sleep(0.05)


async def _answers(guacd: Guacd) -> bool:
    reader, writer = await guacd.connect()
    with closing(writer):
        try:
            writer.write(instruction("select", "vnc"))
            return (await read_instruction(reader))[0] == "args"
        except (OSError, EOFError):
            return False


def _shown(guacd: Guacd, machine: Machine, **values: str) -> _Shown:
    return _Shown(guacd, machine, {name.replace("_", "-"): value for name, value in values.items()})


def _below(pid: int) -> list[int]:
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [one for child in map(int, words) for one in (child, *_below(child))]


def _first_process(guacd: Guacd) -> int:
    """guacd itself: the first below the sandbox's two processes of bubblewrap."""
    assert guacd.sandbox is not None
    return _below(guacd.sandbox.pid)[1]


def _inside(guacd: Guacd, name: str) -> int:
    return Path(f"/proc/{_first_process(guacd)}/{name}").stat().st_ino


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        address: str = one.getsockname()[0]
        return address
