"""What does a desktop's window manager read? Menu, taskbar, colours; written anew for each desktop.

icewm takes it from the folder that ICEWM_PRIVCFG names, so nothing is read from or written into a home.
The menu has the file window, silx view, PyMca and a terminal as far as they are there, and below them
what the environment brings in ``share/applications`` (Desktop Entry Specification 1.5), as do folders
of XDG_DATA_DIRS, if a site's software module sets it. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_SHARE = Path(__file__).resolve().parent / "share" / "desktop"
_FIELD_CODES = re.compile(r"%[fFuUdDnNickvm]")
_MOST = 60
"""Entries at most: more make no menu that helps anybody."""


class Entry(NamedTuple):
    """One line of the menu; ``icon`` is a path, or ``-`` for none."""

    title: str
    command: tuple[str, ...]
    icon: str = "-"


def write(
    folder: Path, environment: Mapping[str, str], prefix: Path, data: Sequence[Mapping[str, str]]
) -> dict[str, str]:
    """Write all that the window manager reads; returns variables for it and the programs it starts."""
    icewm, runtime = folder / "icewm", folder / "run"
    shutil.rmtree(icewm, ignore_errors=True)
    shutil.copytree(_SHARE / "icewm", icewm)
    runtime.mkdir(mode=0o700, exist_ok=True)
    (folder / "data.json").write_text(json.dumps(list(data)), encoding="utf-8")
    path = environment.get("PATH", os.defpath)
    own = list(own_entries(folder, path, prefix, data))
    faster = with_gpu(path)
    applications = prefix / "share" / "applications"
    further = [
        Path(part) / "applications" for part in environment.get("XDG_DATA_DIRS", "").split(":") if part
    ]
    found = [
        *entries_in(applications, path),
        *(entry for each in further for entry in entries_in(each, path)),
    ]
    known = {"jupyterlab", "jupyter notebook", *(entry.title.casefold() for entry in own)}  # it runs already
    others = [entry for entry in found if entry.title.casefold() not in known][:_MOST]
    (icewm / "menu").write_text(menu(own, others, faster), encoding="utf-8")
    (icewm / "toolbar").write_text("".join(line(entry, faster) for entry in own), encoding="utf-8")
    return {
        "ICEWM_PRIVCFG": str(icewm),
        "XDG_RUNTIME_DIR": str(runtime),
        "XENVIRONMENT": str(_SHARE / "Xresources"),
        "QT_QPA_PLATFORM": "xcb",
        "NO_AT_BRIDGE": "1",
        # llvmpipe takes all CPUs of the machine, of which the session was given a few.
        "LP_NUM_THREADS": environment.get("OMP_NUM_THREADS", "2"),
    }


def own_entries(folder: Path, path: str, prefix: Path, data: Sequence[Mapping[str, str]]) -> Iterator[Entry]:
    """What every desktop has, as far as its programs are there."""
    terminal = shutil.which("xterm", path=path) or "xterm"
    icons = _SHARE / "icons"
    if any(prefix.glob("lib/python3*/site-packages/PySide6")):
        python = str(prefix / "bin" / "python")
        program = (python, "-I", str(_SHARE / "data.py"), str(folder / "data.json"))
        yield Entry("Data", program, str(icons / "data.xpm"))
    elif data:
        yield Entry(
            "Data",
            (terminal, "-e", "sh", "-c", 'cd "$0" && exec "$SHELL"', data[0]["path"]),
            str(icons / "data.xpm"),
        )
    silx = shutil.which("silx", path=path)
    if silx:
        yield Entry("silx view", (silx, "view"), str(icons / "silx.xpm"))
    pymca = shutil.which("pymca", path=path)
    if pymca:
        yield Entry("PyMca", (pymca,), str(icons / "pymca.xpm"))
    yield Entry("Terminal", (terminal,), str(icons / "terminal.xpm"))


def entries_in(folder: Path, path: str) -> list[Entry]:
    """Programs of a folder of desktop entries, by title."""
    try:
        files = sorted(folder.glob("*.desktop"))[: 4 * _MOST]
    except OSError:
        return []
    found = (read_entry(file, path) for file in files)
    return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.title.casefold())


def read_entry(file: Path, path: str) -> Entry | None:
    """One desktop entry; None if it is hidden, cannot be read, or its program is not there."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")[:65536]
    except OSError:
        return None
    values: dict[str, str] = {}
    is_inside = False
    for row in text.splitlines():
        if row.startswith("["):
            is_inside = row.strip() == "[Desktop Entry]"
        elif is_inside and "=" in row and not row.startswith("#"):
            key, _, value = row.partition("=")
            values.setdefault(key.strip(), value.strip())
    hidden = "true" in (values.get("NoDisplay", "").lower(), values.get("Hidden", "").lower())
    if values.get("Type") != "Application" or hidden or not values.get("Name"):
        return None
    try:
        words = [word for word in shlex.split(_FIELD_CODES.sub("", values.get("Exec", ""))) if word]
    except ValueError:
        return None
    program = shutil.which(words[0], path=path) if words else None
    if program is None:
        return None
    command = (program, *(word.replace("%%", "%") for word in words[1:]))
    if values.get("Terminal", "").lower() == "true":
        command = (shutil.which("xterm", path=path) or "xterm", "-e", *command)
    return Entry(values["Name"], command)


def with_gpu(path: str) -> tuple[str, ...]:
    """Words before a command that let its OpenGL run on the GPU: VirtualGL by EGL, if both are there."""
    program = shutil.which("vglrun", path=path)
    devices = Path("/dev/dri").glob("renderD*")
    return (program, "-d", "egl") if program and any(os.access(x, os.R_OK | os.W_OK) for x in devices) else ()


def menu(own: Iterable[Entry], others: Sequence[Entry], faster: Sequence[str]) -> str:
    """Text of icewm's menu."""
    rows = [line(entry, faster) for entry in own]
    if others:
        rows += ["separator\n", *(line(entry, faster) for entry in others)]
    return "".join(rows)


def line(entry: Entry, faster: Sequence[str]) -> str:
    """A program as icewm's menu and toolbar have it."""
    command = entry.command if entry.title in ("Terminal", "Data") else (*faster, *entry.command)
    return f"prog {quoted(entry.title)} {quoted(entry.icon)} {' '.join(map(quoted, command))}\n"


def quoted(text: str) -> str:
    r"""A word of icewm's menu file: in double quotes, ``\`` before what would end them."""
    clean = "".join(letter for letter in text if letter.isprintable())
    return '"{}"'.format(clean.replace("\\", "\\\\").replace('"', '\\"'))
