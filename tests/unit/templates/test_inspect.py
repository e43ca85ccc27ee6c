"""The bounded look into a file."""

import os

import h5py
import numpy as np
import pytest

from templates.facts import FileFacts
from templates.inspect import inspect_file


@pytest.fixture
def nexus(tmp_path):
    """A small NeXus file in a folder of its own name, and its path."""
    folder = tmp_path / "scan"
    folder.mkdir()
    with h5py.File(folder / "scan.h5", "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["definition"] = "NXsas"
        entry["identifier_technique_1"] = "https://w3id.org/PaN/ESRFET#SAXS"
        instrument = entry.create_group("instrument")
        instrument.attrs["NX_class"] = np.bytes_("NXinstrument")
        instrument["name"] = "ID02"
        detector = instrument.create_group("detector")
        detector.attrs["NX_class"] = "NXdetector"
        detector.create_dataset("data", shape=(5, 64, 64), chunks=(1, 64, 64), dtype="i4")
        detector["distance"] = 1.5
        detector["distance"].attrs["units"] = "m"
    return folder / "scan.h5"


def add(path, function):
    """Change a file in place."""
    with h5py.File(path, "r+") as file:
        function(file)


def paths(facts):
    return [item.path for item in facts.items]


def test_definitions_techniques_instrument_shapes_units_and_values_are_found(nexus):
    facts = inspect_file(nexus)
    assert facts.definitions == ("NXsas",)
    assert facts.techniques == ("https://w3id.org/PaN/ESRFET#SAXS",)
    assert facts.instrument == "ID02"
    assert facts.is_complete
    items = {item.name: item for item in facts.items}
    assert (items["data"].shape, items["data"].nxclass, items["data"].value) == (
        (5, 64, 64),
        "NXdetector",
        None,
    )
    assert (items["distance"].value, items["distance"].units) == (1.5, "m")


def test_facts_survive_json(nexus):
    facts = inspect_file(nexus)
    assert FileFacts.from_json(facts.to_json()) == facts


def test_a_folder_stands_for_the_file_of_its_name(nexus):
    (nexus.parent / "another.h5").write_bytes(b"")
    assert inspect_file(nexus.parent).file == "scan.h5"
    assert inspect_file(nexus).file == ""


def test_the_visit_ends_at_its_bound_and_says_so(nexus):
    facts = inspect_file(nexus, objects=3)
    assert len(facts.items) <= 3
    assert not facts.is_complete
    assert not inspect_file(nexus, seconds=0).is_complete


def test_deep_files_and_circles_end(nexus):
    def nest(file):
        group = file["entry"]
        group["circle"] = file["/"]
        for _ in range(30):
            group = group.create_group("deeper")
        group["bottom"] = 1

    add(nexus, nest)
    facts = inspect_file(nexus)
    assert not facts.is_complete
    assert not any("circle/entry" in path or "bottom" in path for path in paths(facts))


def test_soft_links_lead_one_level(nexus):
    def link(file):
        file["entry/measurement"] = h5py.SoftLink("/entry/instrument/detector")
        file["entry/again"] = h5py.SoftLink("/entry/measurement")
        file["entry/broken"] = h5py.SoftLink("/nowhere")

    add(nexus, link)
    facts = inspect_file(nexus)
    assert "/entry/measurement/data" in paths(facts)
    assert not any(path.startswith(("/entry/again", "/entry/broken")) for path in paths(facts))
    assert not facts.is_complete


@pytest.mark.parametrize("target", ["../secret.h5", "/{root}/secret.h5", "out.h5"])
def test_external_links_out_of_the_folder_are_not_followed(nexus, tmp_path, target):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["value"] = 42
    (nexus.parent / "out.h5").symlink_to(tmp_path / "secret.h5")
    name = target.format(root=tmp_path)
    add(nexus, lambda file: file.__setitem__("entry/stolen", h5py.ExternalLink(name, "/value")))
    facts = inspect_file(nexus)
    assert "/entry/stolen" not in paths(facts)
    assert not facts.is_complete


def test_a_link_by_way_of_another_link_does_not_leave_the_folder(nexus, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["group/value"] = 42
    with h5py.File(nexus.parent / "part.h5", "w") as part:
        part["way"] = h5py.ExternalLink("../secret.h5", "/group")
    for kind in (h5py.ExternalLink("part.h5", "/way/value"), h5py.SoftLink("/entry/way/value")):
        with h5py.File(nexus.parent / "try.h5", "w") as file:
            file["entry/way"] = h5py.ExternalLink("../secret.h5", "/group")
            file["entry/stolen"] = kind
        assert paths(inspect_file(nexus.parent / "try.h5")) == []


def test_external_links_inside_the_folder_are_followed_once(nexus):
    with h5py.File(nexus.parent / "part.h5", "w") as part:
        part["value"] = 7.0
    add(nexus, lambda file: file.__setitem__("entry/value", h5py.ExternalLink("part.h5", "/value")))
    assert {i.path: i.value for i in inspect_file(nexus).items}["/entry/value"] == 7.0


def test_values_kept_in_other_files_are_not_read(nexus, tmp_path):
    (tmp_path / "secret.bin").write_bytes(b"\x2a" * 8)

    def outside(file):
        where = [(str(tmp_path / "secret.bin"), 0, 8)]
        file.create_dataset("entry/stolen", shape=(1,), dtype="i8", external=where)
        layout = h5py.VirtualLayout(shape=(1,), dtype="i8")
        layout[:] = h5py.VirtualSource(str(nexus), "entry/stolen", shape=(1,))
        file.create_virtual_dataset("entry/virtual", layout)

    add(nexus, outside)
    values = {item.name: item.value for item in inspect_file(nexus).items}
    assert values["stolen"] is None
    assert values["virtual"] is None


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "folder", "pipe"])
def test_what_is_no_hdf5_file_is_an_os_error(tmp_path, kind):
    path = tmp_path / "thing.h5"
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("hello")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    with pytest.raises(OSError, match=r".+"):
        inspect_file(path)
