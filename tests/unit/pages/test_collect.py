"""Gathering the static files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hub.static.collect import ICONS, LIBRARIES, collect, load_manifest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def modules(tmp_path):
    for path in LIBRARIES.values():
        file = tmp_path / "node_modules" / path
        file.parent.mkdir(parents=True)
        file.write_text(f"/* {path} */", encoding="utf-8")
    icons = tmp_path / "node_modules" / "bootstrap-icons" / "icons"
    icons.mkdir(parents=True)
    for name in ICONS:
        (icons / f"{name}.svg").write_text(
            f'<svg viewBox="0 0 16 16"><path d="M{name}"/></svg>', encoding="utf-8"
        )
    return tmp_path / "node_modules"


def test_each_file_is_there_under_a_name_with_its_hash(modules, tmp_path):
    out = tmp_path / "static"
    manifest = collect(modules, out)
    assert load_manifest(out) == manifest
    for hashed in manifest.values():
        assert re.fullmatch(r"[a-z-]+\.[0-9a-f]{12}\.(js|css|svg)", hashed)
        assert (out / hashed).is_file()


def test_a_script_imports_by_hashed_names(modules, tmp_path):
    out = tmp_path / "static"
    manifest = collect(modules, out)
    for name in ("app.js", "progress.js"):
        script = (out / manifest[name]).read_text(encoding="utf-8")
        assert f'from "./{manifest["times.js"]}"' in script
        assert 'from "./times.js"' not in script


def test_a_changed_library_gets_another_name_and_the_old_file_goes(modules, tmp_path):
    out = tmp_path / "static"
    before = collect(modules, out)
    (modules / LIBRARIES["htmx.js"]).write_text("/* newer */", encoding="utf-8")
    after = collect(modules, out)
    assert before["htmx.js"] != after["htmx.js"]
    assert before["panhub.css"] == after["panhub.css"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*after.values(), "manifest.json"])


def test_all_icons_are_symbols_of_one_file(modules, tmp_path):
    manifest = collect(modules, tmp_path / "static")
    sprite = (tmp_path / "static" / manifest["icons.svg"]).read_text(encoding="utf-8")
    assert re.findall(r'<symbol id="([a-z0-9-]+)"', sprite) == ["brand", *ICONS]


def test_a_missing_library_is_an_error_that_leaves_the_old_files(modules, tmp_path):
    out = tmp_path / "static"
    before = collect(modules, out)
    (modules / LIBRARIES["htmx.js"]).unlink()
    with pytest.raises(FileNotFoundError):
        collect(modules, out)
    assert load_manifest(out) == before


def test_nothing_in_styles_or_scripts_names_another_site():
    for path in (ROOT / "hub" / "static" / "src").rglob("*.*"):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), path


def test_the_lock_file_names_no_registry():
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    assert [path for path, package in lock["packages"].items() if "resolved" in package] == []
