"""Which packages does guacd need? Asks apt of Debian 11's signed index and writes ``guacd.lock``.

For maintainers, on Debian with its archive keys: ``python -m hub.demo.guacd_lock``. Versions with security
fixes are taken where the mirror (still) has them. What serves packages' installation or printing only is
said to be there already, so that neither it nor what it needs is fetched.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote

from hub.demo.guacd import ARCHITECTURES, LOCK, MIRROR_VARIABLE, VERSION, mirrors

_WANTED = (
    "guacd",
    "libguac-client-vnc0",
    "libguac-client-rdp0",
    "libguac-client-ssh0",
    "fonts-dejavu-core",  # Terminals (SSH) are drawn with it.
    "libc-bin",  # The locale C.UTF-8, without which guacd shows no text but ASCII.
)
_LEFT_OUT = (
    "coreutils", "debconf", "dpkg", "fontconfig", "ghostscript", "libgs9", "libgs9-common", "lsb-base",
    "perl-base", "sensible-utils", "shared-mime-info", "tar", "ucf",
)  # fmt: skip
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_HEAD = f"""# guacd {VERSION} of Debian 11 and what it needs: SHA-256, size in bytes, path on a mirror.
# Made by `python -m hub.demo.guacd_lock` from the signed index of the archive.
"""


def lock_text() -> str:
    """Content of ``guacd.lock`` as the archive stands now. Blocking: half a minute."""
    parts = [_HEAD]
    for architecture in ARCHITECTURES.values():
        with tempfile.TemporaryDirectory() as name:
            parts.append(f"\n[{architecture}]\n" + _locked(Path(name), architecture))
    return "".join(parts)


def _locked(folder: Path, architecture: str) -> str:
    options = _options(folder, architecture)
    _run("apt-get", *options, "update", "-qq")
    lost: set[str] = set()
    while True:
        uris = _run("apt-get", *options, "--print-uris", "-y", "-qq", "install", *_WANTED)
        addresses = [unquote(line.split()[0].strip("'")) for line in uris.splitlines()]
        paths = [address.removeprefix(f"{_mirror()}/") for address in addresses]
        # All packages of a source go together: they depend on their own version of each other.
        sources = {Path(path).parent for path in _missing(paths)}
        gone = {_name(path) for path in paths if Path(path).parent in sources}
        if not gone:
            break
        if gone & lost:
            raise SystemExit(f"The mirror has no file of {', '.join(sorted(gone & lost))}.")
        lost |= gone
        pins = (
            f"Package: {name}\nPin: release l=Debian-Security\nPin-Priority: -1\n" for name in sorted(lost)
        )
        (folder / "preferences").write_text("\n".join(pins))
    found = {}
    for stanza in _run("apt-cache", *options, "show", *map(_name, paths)).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line[1:])
        if fields:
            found[fields["Filename"]] = f"{fields['SHA256']} {fields['Size']}"
    # The index writes paths below its archive: debian/, debian-security/.
    return "".join(f"{found[path.split('/', 1)[1]]} {path}\n" for path in sorted(paths))


@cache
def _mirror() -> str:
    found = mirrors()
    if not found:
        raise SystemExit(f"Name a mirror of Debian in {MIRROR_VARIABLE} (http://host).")
    return found[0]


def _name(path: str) -> str:
    return Path(path).name.split("_")[0]


def _missing(paths: Iterable[str]) -> list[str]:
    def is_missing(path: str) -> bool:
        request = urllib.request.Request(f"{_mirror()}/{quote(path)}", method="HEAD")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60):  # noqa: S310
                return False
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return True

    every = list(paths)
    with ThreadPoolExecutor(8) as pool:
        return [path for path, is_gone in zip(every, pool.map(is_missing, every), strict=True) if is_gone]


def _options(folder: Path, architecture: str) -> list[str]:
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").write_text(
        "".join(
            f"Package: {name}\nStatus: install ok installed\nVersion: 9999\nArchitecture: {architecture}\n"
            f"Multi-Arch: foreign\nProvides: debconf-2.0\n\n"
            for name in _LEFT_OUT
        )
    )
    (folder / "sources").write_text(
        f"deb [signed-by={_KEYS}] {_mirror()}/debian bullseye main\n"
        f"deb [signed-by={_KEYS}] {_mirror()}/debian-security bullseye-security main\n"
    )
    settings = {
        "Dir::Etc::sourcelist": folder / "sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": folder / "preferences",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        # The release has ended: its index is not signed anew.
        "Acquire::Check-Valid-Until": "false",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    LOCK.write_text(lock_text())
    sys.exit(0)
