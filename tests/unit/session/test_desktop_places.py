"""Files that may be brought in and taken out, and every way out of their folders."""

import os

import pytest

from spawners.session.python.panhub_session.places import (
    Place,
    Places,
    RefusedError,
    parts_of,
    read_places,
    siblings,
)


@pytest.fixture
def places(tmp_path):
    for name in ("home/work", "raw", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "home/work/notes 1.txt").write_text("notes")
    (tmp_path / "home/.secret").write_text("hidden")
    (tmp_path / "outside/private.txt").write_text("private")
    (tmp_path / "home/way").symlink_to(tmp_path / "outside")
    (tmp_path / "home/private.txt").symlink_to(tmp_path / "outside/private.txt")
    os.mkfifo(tmp_path / "home/pipe")
    raw = [
        {"title": "Home", "path": str(tmp_path / "home"), "is_writable": True},
        {"title": "RAW_DATA", "path": str(tmp_path / "raw"), "is_writable": False},
    ]
    return Places(read_places(raw))


def names(listing):
    return [entry["name"] for entry in listing["entries"]]


def bring(places, path, content=b"new"):
    new = places.new_file(path)
    new.write(content)
    return new.keep()


def test_listing_shows_files_and_folders_and_no_links(places):
    assert names(places.listing("")) == ["Home", "RAW_DATA"]
    home = places.listing("Home")
    assert (home["path"], names(home), home["may_bring"]) == ("Home", ["work"], True)
    work = places.listing("Home/work/")
    assert [(e["name"], e["kind"], e["size"]) for e in work["entries"]] == [("notes 1.txt", "file", 5)]
    assert places.listing("RAW_DATA")["may_bring"] is False


def test_a_file_is_read_and_its_size_known(places):
    descriptor, size = places.open_file("Home/work/notes 1.txt")
    with os.fdopen(descriptor, "rb") as file:
        assert (file.read(), size) == (b"notes", 5)


def test_a_file_is_never_written_over(places, tmp_path):
    assert bring(places, "Home/work/scan.tar.gz")["path"] == "Home/work/scan.tar.gz"
    assert bring(places, "Home/work/scan.tar.gz", b"other")["name"] == "scan-1.tar.gz"
    assert (tmp_path / "home/work/scan.tar.gz").read_bytes() == b"new"
    assert bring(places, "Home/private.txt")["name"] == "private-1.txt"  # a link is there
    assert (tmp_path / "outside/private.txt").read_text() == "private"


def test_a_file_without_a_folder_goes_home(places, tmp_path):
    assert bring(places, "a.txt") == {"name": "a.txt", "path": "Home/a.txt", "size": 3}
    assert (tmp_path / "home/a.txt").stat().st_mode & 0o777 == 0o644


def test_what_is_not_finished_is_removed(places, tmp_path):
    new = places.new_file("Home/half.bin")
    new.write(b"half")
    new.drop()
    assert not (tmp_path / "home/half.bin").exists()


@pytest.mark.parametrize(
    "path",
    [
        "Home/../outside/private.txt",
        "../outside",
        "..",
        "Home/./a",
        "Home/a\0b",
        "Home/a\nb",
        "Home/a\x1b[2J",
        "Home/gpj.\u202etxt",
        "Home/" + "x" * 256,
        "/".join(["Home", *(["d"] * 70)]),
        "Home/\udcff",
    ],
)
def test_names_that_could_lead_out_or_deceive_are_refused(places, path):
    for ask in (places.listing, places.open_file, places.new_file):
        with pytest.raises(RefusedError) as refused:
            ask(path)
        assert refused.value.status == 400


@pytest.mark.parametrize(
    "name", ["scan 😀.dat", "Bildschirmfoto 2026\u202f.png", "ä.txt", "-rf", "~", "$HOME"]
)
def test_names_that_people_use_are_taken(places, name):
    assert parts_of(f"Home/{name}") == ["Home", name]
    assert bring(places, f"Home/work/{name}")["name"] == name


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Home/way/private.txt", 404),
        ("Home/private.txt", 404),
        ("Home/pipe", 404),
        ("Home/work", 404),
        ("Home/none.txt", 404),
        ("Home", 404),
        ("", 404),
        ("Elsewhere/private.txt", 404),
    ],
)
def test_what_is_no_file_of_the_place_is_not_opened(places, path, status):
    with pytest.raises(RefusedError) as refused:
        places.open_file(path)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("path", "status"),
    [("RAW_DATA/a.txt", 409), ("Home/way/a.txt", 404), ("Home/none/a.txt", 404), ("", 400)],
)
def test_where_nothing_may_be_written_nothing_is(places, path, status, tmp_path):
    with pytest.raises(RefusedError) as refused:
        places.new_file(path)
    assert refused.value.status == status
    assert sorted(file.name for file in (tmp_path / "outside").iterdir()) == ["private.txt"]


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(places, tmp_path):
    new = places.new_file("Home/work/late.txt")
    (tmp_path / "home/work").rename(tmp_path / "home/old")
    (tmp_path / "home/work").symlink_to(tmp_path / "outside")
    new.write(b"late")
    new.keep()
    assert (tmp_path / "home/old/late.txt").read_bytes() == b"late"


def test_a_full_storage_is_said():
    places = Places([Place("Full", "/dev", is_writable=True)])
    descriptor = os.open("/dev/full", os.O_WRONLY)
    new = places.new_file("Full/shm/panhub-test-full")
    try:
        os.dup2(descriptor, new._descriptor)
        with pytest.raises(RefusedError, match="full") as refused:
            new.write(b"x" * 100)
        assert refused.value.status == 507
    finally:
        os.close(descriptor)
        new.drop()


def test_siblings_keep_the_ending():
    found = siblings("a.tar.gz")
    assert [next(found) for _ in range(3)] == ["a.tar.gz", "a-1.tar.gz", "a-2.tar.gz"]
    assert list(siblings(".rc"))[1] == ".rc-1"
