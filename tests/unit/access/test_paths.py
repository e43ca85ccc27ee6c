"""Paths stay below their root, whatever they are called and whatever lies there."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hub.access import paths
from hub.access.paths import (
    MissingPathError,
    UnsafePathError,
    check_name,
    check_relative,
    open_beneath,
    resolve_beneath,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root beside a secret, with the usual ways to try to get there."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret")
    root = tmp_path / "root"
    (root / "visit" / "RAW_DATA").mkdir(parents=True)
    (root / "visit" / "RAW_DATA" / "file").write_text("data")
    (root / "visit" / "up").symlink_to("../../secret")
    (root / "visit" / "absolute").symlink_to(tmp_path / "secret")
    (root / "visit" / "inside").symlink_to("RAW_DATA")
    (root / "visit" / "dangling").symlink_to("nowhere")
    (root / "visit" / "loop").symlink_to("loop")
    os.mkfifo(root / "visit" / "pipe")
    return root


@pytest.mark.parametrize("path", ["visit", "visit/RAW_DATA", "visit/RAW_DATA/file", "."])
def test_what_is_there_is_found(root: Path, path: str) -> None:
    assert Path(resolve_beneath(root, path)) == root / path


@pytest.mark.parametrize(
    "path",
    [
        "visit/up",
        "visit/up/file",
        "visit/absolute/file",
        "visit/inside",
        "visit/inside/file",
        "visit/dangling",
        "visit/loop",
        "visit/loop/x",
        "visit/pipe",
    ],
)
def test_links_and_special_files_are_refused_even_inside_the_root(root: Path, path: str) -> None:
    with pytest.raises(UnsafePathError):
        resolve_beneath(root, path)


@pytest.mark.parametrize("path", ["nothing", "visit/nothing", "visit/RAW_DATA/file/x"])
def test_what_is_missing_is_told_apart(root: Path, path: str) -> None:
    with pytest.raises(MissingPathError):
        resolve_beneath(root, path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../secret",
        "visit/../../secret",
        "visit/./RAW_DATA",
        "visit//RAW_DATA",
        "visit/",
        "a\0b",
        "a\nb",
        "a\x7f",
        "a\x85b",
        "\udc80",
        "x" * 256,
        "é" * 128,
        "a/" * 2047 + "aa",
    ],
)
def test_names_that_mislead_are_refused(path: str) -> None:
    with pytest.raises(UnsafePathError):
        check_relative(path)


def test_unusual_names_are_allowed() -> None:
    for name in ("LaB6 (2)", "Größe", "-rf", "$(id)", "...", ".hidden", "x" * 255):
        assert check_name(name) == name
    assert check_relative("a/b c/é") == PurePosixPath("a/b c/é")


def test_a_root_that_is_a_link_is_the_sites_own(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert Path(resolve_beneath(tmp_path / "link", "visit")) == root / "visit"


@given(st.text(alphabet=st.sampled_from("a./\0\n~é\\ \udc80"), max_size=12))
@example("visit/up/file")
@example("./visit")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_leads_out_of_the_root(root: Path, text: str) -> None:
    try:
        found = Path(resolve_beneath(root, text))
    except (UnsafePathError, MissingPathError):
        return
    assert os.path.realpath(found) == str(found)
    assert found.is_relative_to(root)


@pytest.mark.parametrize(
    ("before_opening", "is_refused"), [("visit", True), ("RAW_DATA", True), ("file", False)]
)
def test_a_folder_swapped_for_a_link_between_two_steps_never_shows_the_secret(
    root: Path, monkeypatch: pytest.MonkeyPatch, before_opening: str, is_refused: bool
) -> None:
    """Before it is opened, the link is refused; afterwards it is the old folder that is read."""
    open_one = paths._open

    def swap_and_open(parent: int | None, name: str) -> int:
        if name == before_opening:
            (root / "visit" / "RAW_DATA").rename(root / "visit" / "aside")
            (root / "visit" / "RAW_DATA").symlink_to("../../secret")
        return open_one(parent, name)

    monkeypatch.setattr(paths, "_open", swap_and_open)
    if is_refused:
        with pytest.raises(UnsafePathError), open_beneath(root, "visit/RAW_DATA/file"):
            pass
    else:
        with open_beneath(root, "visit/RAW_DATA/file") as descriptor:
            assert Path(f"/proc/self/fd/{descriptor}").read_bytes() == b"data"


def test_a_folder_that_is_swapped_all_the_time_never_shows_the_secret(root: Path) -> None:
    folder, aside = root / "visit" / "RAW_DATA", root / "visit" / "aside"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            folder.rename(aside)
            folder.symlink_to("../../secret")
            folder.unlink()
            aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(2000):
            with (
                contextlib.suppress(UnsafePathError, MissingPathError),
                open_beneath(root, "visit/RAW_DATA/file") as descriptor,
            ):
                assert Path(f"/proc/self/fd/{descriptor}").read_bytes() == b"data"
    finally:
        stop.set()
        thread.join()


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = _open_descriptors()
    for path in ("visit/RAW_DATA/file", "visit/up/file", "visit/nothing"):
        for _ in range(20):
            with contextlib.suppress(UnsafePathError, MissingPathError):
                resolve_beneath(root, path)
    assert _open_descriptors() == before


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
