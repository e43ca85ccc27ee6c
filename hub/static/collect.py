"""Where do the static files come from?

`collect` gathers our styles, scripts and icons and the libraries of ``node_modules`` in one
folder. Each file carries a hash of its content in its name, so that browsers may keep it for
ever, and ``manifest.json`` maps logical names to these. Nothing is bundled or minified: our own
scripts are small, and libraries come minified from their packages.

Run as ``python -m hub.static.collect [--modules DIR] [--out DIR]``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

_SOURCES = Path(__file__).parent / "src"
_HASH_LENGTH = 12

LIBRARIES = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "echarts.js": "echarts/dist/echarts.common.min.js",
    "guacamole.js": "guacamole-common-js/dist/esm/guacamole-common.min.js",
}
"""Logical name → file in ``node_modules``."""

_NOTICES = {"guacamole.js": "Apache Guacamole, guacamole-common-js. Licensed under the Apache License, 2.0."}
"""Notices of libraries whose minified file lost its own."""

STYLES = {
    "panhub.css": ("tokens", "base", "components", "pages", "places", "sharing"),
    "desktop.css": ("desktop",),
    "hub.css": ("tokens", "hub"),
}
"""Stylesheet → its parts in ``src/css``, in order. ``hub.css`` dresses the hub's own pages."""

SCRIPTS = (
    "theme.js",
    "times.js",
    "app.js",
    "form.js",
    "progress.js",
    "usage.js",
    "elements.js",
    "asking.js",
    "sharing-rows.js",
    "sharing.js",
    "sharing-dialog.js",
    "cards.js",
    "invitation.js",
    "desktop-guacamole.js",
    "desktop-tunnel.js",
    "desktop-words.js",
    "desktop-link.js",
    "desktop-picture.js",
    "desktop-screens.js",
    "desktop-pointer.js",
    "desktop-keyboard.js",
    "desktop-keys.js",
    "desktop-clipboard.js",
    "desktop-files.js",
    "desktop-panels.js",
    "desktop-page.js",
    "desktop-ask.js",
    "desktop-status.js",
    "desktop-people.js",
    "desktop-time.js",
    "desktop-clipboard-panel.js",
    "desktop-keyboard-panel.js",
    "desktop-files-panel.js",
    "desktop-screens-panel.js",
    "desktop-quality.js",
    "desktop-snapshots.js",
    "desktop.js",
)
"""Our scripts in ``src/js``; one that imports another comes after it."""

ICONS = tuple((_SOURCES / "icons.txt").read_text(encoding="utf-8").split())
"""Names in bootstrap-icons; only these are shipped, as symbols of one file."""

_IMPORT = re.compile(r'(?<=from "\./)([a-z-]+\.js)(?=")')
_SVG = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


def collect(modules: Path, out: Path) -> dict[str, str]:
    """Write all static files to ``out``, replacing what is there, and return the manifest.

    Raises
    ------
    FileNotFoundError
        If a library or an icon is not in ``modules``: `npm ci` was not run.
    """
    contents = _contents(modules)
    manifest: dict[str, str] = {}
    fresh = out.with_name(f"{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, content in contents.items():
        data = _with_hashed_imports(content, manifest).encode() if name in SCRIPTS else content.encode()
        manifest[name] = _hashed_name(name, data)
        (fresh / manifest[name]).write_bytes(data)
    (fresh / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return manifest


def static_folder() -> Path:
    """Folder of the checkout from which service and hub show the collected files."""
    return Path(__file__).resolve().parents[2] / "build" / "static"


def load_manifest(out: Path) -> dict[str, str]:
    """Manifest that `collect` wrote to ``out``.

    Raises
    ------
    FileNotFoundError
        If the static files were not collected.
    """
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return {str(name): str(hashed) for name, hashed in manifest.items()}


def _contents(modules: Path) -> dict[str, str]:
    """Text of every file by logical name, in an order in which imports come first."""
    icons = modules / "bootstrap-icons" / "icons"
    return {
        **{name: _notice(name) + _read(modules / path) for name, path in LIBRARIES.items()},
        **{
            name: "\n".join(_read(_SOURCES / "css" / f"{part}.css") for part in parts)
            for name, parts in STYLES.items()
        },
        **{name: _read(_SOURCES / "js" / name) for name in SCRIPTS},
        "favicon.svg": _read(_SOURCES / "brand.svg"),
        "icons.svg": _sprite({"brand": _SOURCES / "brand.svg", **{n: icons / f"{n}.svg" for n in ICONS}}),
    }


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _notice(name: str) -> str:
    return f"/*! {_NOTICES[name]} */\n" if name in _NOTICES else ""


def _hashed_name(name: str, data: bytes) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(data).hexdigest()[:_HASH_LENGTH]}.{suffix}"


def _with_hashed_imports(script: str, manifest: Mapping[str, str]) -> str:
    return _IMPORT.sub(lambda match: manifest[match[1]], script)


def _sprite(files: Mapping[str, Path]) -> str:
    """One SVG with a symbol per icon, to be shown by ``<use href="…#name">``."""
    symbols = []
    for name, path in files.items():
        match = _SVG.search(_read(path))
        if match is None:
            raise ValueError(f"{path} is not an SVG")
        box = "0 0 32 32" if name == "brand" else "0 0 16 16"
        symbols.append(f'<symbol id="{name}" viewBox="{box}">{match[1].strip()}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">' + "".join(symbols) + "</svg>"


def main() -> None:
    """Entry point of ``python -m hub.static.collect``."""
    parser = argparse.ArgumentParser(description="Collect the static files of the pages.")
    parser.add_argument("--modules", type=Path, default=Path("node_modules"), help="where npm installed")
    parser.add_argument("--out", type=Path, default=static_folder(), help="folder to write")
    arguments = parser.parse_args()
    manifest = collect(arguments.modules, arguments.out)
    print(f"{len(manifest)} static files in {arguments.out}")


if __name__ == "__main__":
    main()
