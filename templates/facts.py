"""What is in a data file, as far as choosing a template needs it? Plain data, kept and sent as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """One HDF5 dataset of the file.

    ``path`` is absolute in the file; ``nxclass`` is the NX_class of the group that holds it.
    ``value`` is read for single numbers and short texts only.
    """

    path: str
    nxclass: str
    shape: tuple[int, ...]
    dtype: str
    units: str | None = None
    value: float | str | None = None

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Index of one file.

    ``file`` is its path relative to the path asked for: empty for the file itself, a name where a folder
    was given. ``is_complete`` is False where the visit ended at its bound or a link was not followed.
    """

    file: str = ""
    definitions: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    instrument: str | None = None
    items: tuple[Item, ...] = ()
    is_complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FileFacts:
        """Rebuild facts from `to_json`."""
        items = tuple(Item(**{**item, "shape": tuple(item["shape"])}) for item in raw["items"])
        lists = {key: tuple(raw[key]) for key in ("definitions", "techniques")}
        return cls(**{**raw, **lists, "items": items})
