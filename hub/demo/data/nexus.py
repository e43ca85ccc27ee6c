"""How is a demo file written? Small helpers over h5py for NeXus files that are whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from hub.demo.data import VERSION

_GZIP = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Every HDF5 reader knows it, without a plug-in."""


@contextmanager
def new_file(path: Path, *, title: str, proposal: str, start: str) -> Iterator[Any]:
    """An ``NXentry`` named ``entry`` in a new file, which appears at ``path`` only when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with h5py.File(part, "w") as file:
        file.attrs.update({"NX_class": "NXroot", "default": "entry", "panhub_demo_version": VERSION})
        entry = group(file, "entry", "NXentry")
        entry["title"] = title
        entry["experiment_identifier"] = proposal
        entry["start_time"] = entry["end_time"] = start
        yield entry
    part.chmod(0o640)
    part.rename(path)


def is_made(path: Path) -> bool:
    """Whether a complete file of this version is there."""
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("panhub_demo_version") == VERSION)
    except OSError:
        return False


def group(parent: Any, name: str, nx_class: str, **attributes: Any) -> Any:
    """A new group with its NeXus class."""
    made = parent.create_group(name)
    made.attrs["NX_class"] = nx_class
    made.attrs.update(attributes)
    return made


def field(parent: Any, name: str, value: Any, units: str | None = None) -> Any:
    """A new field; arrays are compressed."""
    is_large = getattr(value, "size", 1) > 1024
    made = parent.create_dataset(name, data=value, **(_GZIP if is_large else {}))
    if units is not None:
        made.attrs["units"] = units
    return made


def frames(parent: Any, name: str, shape: tuple[int, ...], dtype: str, units: str) -> Any:
    """An empty stack, one chunk per frame, to be filled frame by frame."""
    made = parent.create_dataset(name, shape=shape, dtype=dtype, chunks=(1, *shape[1:]), **_GZIP)
    made.attrs["units"] = units
    return made


def source(instrument: Any, *, probe: str = "x-ray", name: str = "Demo facility (simulated)") -> None:
    """The ``NXsource`` that application definitions ask for."""
    made = group(instrument, "source", "NXsource")
    made["type"] = "Synchrotron X-ray Source"
    made["name"] = name
    made["probe"] = probe


def techniques(entry: Any, *identifiers: str) -> None:
    """Technique ids as facilities write them, ``identifier_technique_1`` and on."""
    for number, identifier in enumerate(identifiers, start=1):
        iri = f"http://purl.org/pan-science/PaNET/{identifier}"
        entry[f"identifier_technique_{number}"] = iri


def note(entry: Any, text: str) -> None:
    """Where the data comes from, for everybody who opens the file."""
    made = group(entry, "note", "NXnote")
    made["type"] = "text/plain"
    made["description"] = text


def stamp(path: Path) -> None:
    """Mark a copied file as one of this version."""
    with h5py.File(path, "r+") as file:
        file.attrs["panhub_demo_version"] = VERSION
