"""What is in this file, and what does it want to have plotted?

The tree is bounded and reads no array; the plot takes the signal the file declares as its default (NXroot and
NXentry ``default``, NXdata ``signal``), or else the largest array, and reads one frame of a stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import h5py
import numpy as np

_TEXT = 60

_MOST_POINTS = 4_000_000  # of one plot; more is thinned


class AnalysisError(Exception):
    """The analysis cannot go on, for a reason that the message tells in one line."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Signal:
    """An array to plot: one line or one image, with labels that name units."""

    path: str
    values: np.ndarray
    label: str
    note: str
    axis: np.ndarray | None = None
    axis_label: str = "index"


def open_file(input_file: str) -> h5py.File:
    """Open a file for reading.

    Raises
    ------
    AnalysisError
        If it is not there or not HDF5.
    """
    try:
        return h5py.File(input_file, "r")
    except OSError as error:
        raise AnalysisError(f"{input_file} cannot be read: {error}") from error


def tree(group: h5py.Group, most: int) -> Iterator[str]:
    """Lines of the tree below a group, at most ``most`` of them; links are named, not followed."""
    lines = _lines(group, 0)
    yield from islice(lines, most)
    if next(lines, None) is not None:
        yield f"… (more than {most} items; raise max_items to see them)"


def default_signal(file: h5py.File, path: str = "", frame: int = 0) -> Signal | None:
    """The array to plot, or None if the file has none.

    Raises
    ------
    AnalysisError
        If ``path`` names no array of numbers, or there is no such frame.
    """
    dataset = _named(file, path) if path else _declared(file) or _largest(file)
    if dataset is None:
        return None
    values, note = _one_frame(dataset, frame)
    units = _text(dataset.attrs.get("units", ""))
    label = f"{dataset.name.rsplit('/', 1)[-1]} ({units or 'no unit'})"
    return Signal(dataset.name, values, label, note, *_axis(dataset, values))


def _lines(group: h5py.Group, depth: int) -> Iterator[str]:
    for name in group:
        link = group.get(name, getlink=True)
        indent = "  " * depth
        if isinstance(link, h5py.ExternalLink):
            yield f"{indent}{name} → {link.filename}:{link.path}"
        elif isinstance(link, h5py.SoftLink):
            yield f"{indent}{name} → {link.path}"
        elif isinstance(item := group[name], h5py.Group):
            yield f"{indent}{name}  {_text(item.attrs.get('NX_class', ''))}".rstrip()
            yield from _lines(item, depth + 1)
        elif isinstance(item, h5py.Dataset):
            yield f"{indent}{name}  {_summary(item)}"


def _summary(item: h5py.Dataset) -> str:
    units = _text(item.attrs.get("units", ""))
    if item.shape == () or item.size == 1:
        return f"= {_text(np.ravel(item[()])[0])[:_TEXT]} {units}".rstrip()
    return f"{item.dtype} {item.shape} {units}".rstrip()


def _declared(file: h5py.File) -> h5py.Dataset | None:
    """The signal by the NeXus chain of defaults, else of the first NXdata that has one."""
    group: Any = file
    while isinstance(group, h5py.Group) and (name := _text(group.attrs.get("default", ""))) in group and name:
        group = group[name]
    if isinstance(group, h5py.Group) and (found := _signal(group)) is not None:
        return found
    return file.visititems(lambda _, item: _signal(item) if isinstance(item, h5py.Group) else None)


def _signal(group: h5py.Group) -> h5py.Dataset | None:
    name = _text(group.attrs.get("signal", ""))
    item = group.get(name) if name else None
    return item if _is_plottable(item) else None


def _largest(file: h5py.File) -> h5py.Dataset | None:
    found: list[h5py.Dataset] = []

    def keep(_: str, item: Any) -> None:
        if _is_plottable(item):
            found.append(item)

    file.visititems(keep)
    return max(found, key=lambda item: item.size, default=None)


def _named(file: h5py.File, path: str) -> h5py.Dataset:
    item = file.get(path)
    if not _is_plottable(item):
        raise AnalysisError(f"{path} is not an array of numbers in this file")
    return item


def _is_plottable(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and item.dtype.kind in "iufb" and item.ndim > 0 and item.size > 1


def _one_frame(dataset: h5py.Dataset, frame: int) -> tuple[np.ndarray, str]:
    """A line or an image; of more axes the first ones are fixed at ``frame`` and 0."""
    if dataset.ndim <= 2:
        step = max(1, int(np.ceil((dataset.size / _MOST_POINTS) ** (1 / dataset.ndim))))
        thin = (slice(None, None, step),) * dataset.ndim
        return dataset[thin], "" if step == 1 else f"every {step}th point"
    if not -dataset.shape[0] <= frame < dataset.shape[0]:
        raise AnalysisError(f"frame: {dataset.name} has {dataset.shape[0]} frames, not {frame}")
    index = (frame % dataset.shape[0], *(0 for _ in dataset.shape[1:-2]))
    return dataset[index], f"frame {index[0]} of {dataset.shape[0]}"


def _axis(dataset: h5py.Dataset, values: np.ndarray) -> tuple[np.ndarray | None, str]:
    """Values and label of a line's axis, as its NXdata declares."""
    names = [_text(name) for name in np.ravel(dataset.parent.attrs.get("axes", []))]
    item = dataset.parent.get(names[-1]) if names and names[-1] not in ("", ".") else None
    if values.ndim != 1 or not isinstance(item, h5py.Dataset) or item.shape != values.shape:
        return None, "index"
    units = _text(item.attrs.get("units", ""))
    return item[()], f"{names[-1]} ({units or 'no unit'})"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
