"""Machines with a screen for tests: real VNC, RDP and SSH servers on this machine's loopback."""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.required import require_program

_UP_S = 30


@dataclass(frozen=True)
class Machine:
    """What a test needs to know of a server."""

    port: int
    password: str = ""
    display: str = ""
    xauthority: Path | None = None
    private_key: Path | None = None
    host_key: str = ""


def free_port() -> int:
    """A port of the loopback that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@asynccontextmanager
async def vnc_machine(folder: Path, *, size: str = "1024x768") -> AsyncIterator[Machine]:
    """Xtigervnc on a TCP port, with a password and a grey screen."""
    program = require_program("Xtigervnc", package="tigervnc-standalone-server")
    passwd = require_program("tigervncpasswd", "vncpasswd", package="tigervnc-tools")
    port, password = free_port(), secrets.token_hex(4)
    hidden = subprocess.run([passwd, "-f"], input=password.encode(), capture_output=True, check=True).stdout
    (folder / "passwd").write_bytes(hidden)
    read_end, write_end = os.pipe()
    try:
        words = [
            program,
            "-displayfd",
            str(write_end),
            "-rfbport",
            str(port),
            "-localhost",
            "-geometry",
            size,
        ]
        words += ["-depth", "24", "-SecurityTypes", "VncAuth", "-PasswordFile", str(folder / "passwd")]
        words += ["-nolisten", "tcp", "-AlwaysShared", "-BlacklistThreshold", "1000"]
        async with _process(words, folder / "vnc.log", pass_fds=[write_end]):
            async with asyncio.timeout(_UP_S):
                number = (await asyncio.to_thread(os.read, read_end, 16)).decode().strip()
            await _listens(port)
            display = f":{number}"
            if setroot := shutil.which("xsetroot"):
                await asyncio.to_thread(
                    subprocess.run, [setroot, "-display", display, "-solid", "#406080"], check=True
                )
            yield Machine(port, password, display)
    finally:
        os.close(read_end)
        os.close(write_end)


@asynccontextmanager
async def window_on(machine: Machine, *, at: tuple[int, int], colour: str) -> AsyncIterator[None]:
    """A window on a VNC machine, 900 x 700 or so: it shows what is typed while the pointer is in it."""
    program = require_program("xterm", package="xterm")
    words = [program, "-display", machine.display, "-geometry", f"150x54+{at[0]}+{at[1]}"]
    words += ["-bg", colour, "-fg", "black", "-e", "cat"]
    async with _process(words, Path(os.devnull)):
        yield


@asynccontextmanager
async def rdp_machine(folder: Path, vnc: Machine) -> AsyncIterator[Machine]:
    """A real RDP server (xrdp, TLS with a certificate of its own) that shows a VNC machine."""
    program = require_program("xrdp", package="xrdp")
    openssl = require_program("openssl", package="openssl")
    port = free_port()
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=control-computer"]
    files = ["-keyout", str(folder / "rdp.key"), "-out", str(folder / "rdp.pem")]
    await asyncio.to_thread(subprocess.run, [openssl, *request, *files], check=True, capture_output=True)
    keys = folder / "rsakeys.ini"
    await asyncio.to_thread(
        subprocess.run, ["xrdp-keygen", "xrdp", str(keys)], check=True, capture_output=True
    )
    (folder / "xrdp.ini").write_text(
        f"""[Globals]
port=tcp://127.0.0.1:{port}
fork=true
security_layer=negotiate
crypt_level=high
certificate={folder}/rdp.pem
key_file={folder}/rdp.key
ssl_protocols=TLSv1.2, TLSv1.3
autorun=screen
rsakeys_ini={keys}
max_bpp=32
allow_channels=true
allow_multimon=true
bitmap_cache=true
bitmap_compression=true
bulk_compression=true
new_cursors=true
use_fastpath=both

[Logging]
LogFile={folder}/xrdp.log
LogLevel=INFO
EnableSyslog=false

[Channels]
rdpdr=true
rdpsnd=true
drdynvc=true
cliprdr=true
rail=true
xrdpvr=true

[screen]
name=screen
lib=libvnc.so
username=na
password={vnc.password}
ip=127.0.0.1
port={vnc.port}
"""
    )
    found = await asyncio.to_thread(
        subprocess.run,
        [openssl, "x509", "-in", str(folder / "rdp.pem"), "-noout", "-fingerprint", "-sha256"],
        check=True,
        capture_output=True,
        text=True,
    )
    words = [program, "--nodaemon", "--config", str(folder / "xrdp.ini")]
    async with _process(words, folder / "xrdp.out"):
        await _listens(port)
        yield Machine(port, host_key=found.stdout.strip().split("=")[1])


@asynccontextmanager
async def ssh_machine(folder: Path) -> AsyncIterator[Machine]:
    """A real sshd for the account that runs the tests, by key."""
    program = require_program("sshd", package="openssh-server")
    keygen = require_program("ssh-keygen", package="openssh-client")
    port = free_port()
    # RSA, as guacd 1.3.0 of Debian knows no newer kind (libssh2 with libgcrypt).
    for name in ("host", "person"):
        kind = ["-t", "rsa", "-b", "2048", "-m", "PEM", "-f", str(folder / name)]
        await asyncio.to_thread(subprocess.run, [keygen, "-q", "-N", "", *kind], check=True)
    (folder / "authorized").write_text((folder / "person.pub").read_text())
    (folder / "sshd_config").write_text(
        f"""ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
PubkeyAcceptedAlgorithms +ssh-rsa
HostKeyAlgorithms +ssh-rsa
PrintMotd no
"""
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    words = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
    async with _process(words, folder / "sshd.log"):
        await _listens(port)
        key_type, key, *_ = (folder / "host.pub").read_text().split()
        yield Machine(port, private_key=folder / "person", host_key=f"{key_type} {key}")


def account() -> str:
    """Account that runs the tests."""
    return getpass.getuser()


@asynccontextmanager
async def _process(words: Sequence[str], log: Path, pass_fds: Sequence[int] = ()) -> AsyncIterator[None]:
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_UP_S):
            await process.wait()


async def _listens(port: int) -> None:
    async with asyncio.timeout(_UP_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
