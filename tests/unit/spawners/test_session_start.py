"""The working folder of a session: made without following links, never over what is there."""

import importlib.util
import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

_SPEC = importlib.util.spec_from_file_location(
    "session_start", Path(__file__).parents[3] / "spawners" / "session" / "start.py"
)
start = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(start)


@pytest.fixture
def folder(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def specification(home, **changes):
    return {
        "home": str(home),
        "workdir": "work",
        "files": [{"path": "a.ipynb", "content": "new"}],
        "data_link": {"path": "data", "target": "/data/x"},
        "open_path": "work/a.ipynb",
        **changes,
    }


def test_the_first_file_is_shown_under_the_name_that_it_got(tmp_path):
    assert start.prepare(specification(tmp_path)) == "work/a.ipynb"
    (tmp_path / "work" / "a.ipynb").write_text("changed")
    assert start.prepare(specification(tmp_path)) == "work/a-1.ipynb"
    assert start.prepare(specification(tmp_path)) == "work/a-1.ipynb"
    assert (tmp_path / "work" / "a.ipynb").read_text() == "changed"
    assert str((tmp_path / "work" / "data").readlink()) == "/data/x"


def test_another_data_link_gets_another_name(tmp_path):
    start.prepare(specification(tmp_path))
    start.prepare(specification(tmp_path, data_link={"path": "data", "target": "/data/y"}))
    assert str((tmp_path / "work" / "data").readlink()) == "/data/x"
    assert str((tmp_path / "work" / "data-1").readlink()) == "/data/y"


@pytest.mark.parametrize("make", [Path.mkdir, lambda p: p.symlink_to("/etc"), lambda p: os.mkfifo(p)])
def test_a_name_that_is_taken_by_anything_is_left_alone(folder, tmp_path, make):
    make(tmp_path / "x.txt")
    assert start.write_new(folder, "x.txt", b"new") == "x-1.txt"


@pytest.mark.parametrize("make", [lambda p: p.symlink_to("/tmp"), lambda p: p.write_text("file")])
def test_a_folder_that_is_a_link_or_a_file_is_refused(folder, tmp_path, make):
    make(tmp_path / "work")
    with pytest.raises(start.RefusedError, match="is a link or a file"):
        start.open_folder(folder, PurePosixPath("work/deeper"))


@given(st.text(alphabet="ab.", min_size=1, max_size=8).filter(lambda name: name.strip(".")))
def test_siblings_are_all_different_and_begin_with_the_name(name):
    found = start.siblings(name)
    assert found[0] == name
    assert len(set(found)) == len(found)


def test_the_listener_of_a_port_is_known_as_its_processes_socket():
    with start.socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert start.listening(port) == set()
        listener.listen()
        sockets = start.listening(port)
        assert start.holds_any(os.getpid(), sockets)
        assert not start.holds_any(1, sockets)
        assert not start.port_is_free("127.0.0.1", port)
    assert start.port_is_free("127.0.0.1", port)
