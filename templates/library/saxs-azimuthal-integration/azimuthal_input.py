"""Where are the frames and the geometry in this file? Input of the azimuthal integration.

Items are found by what they are (NX_class, name, shape, unit), never by a fixed path. A missing item or unit
is an `AnalysisError`: one line that says what to mend.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

HC_KEV_ANGSTROM = 12.398419843320026

_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6, "nm": 1e-9}
_METRES |= {"pm": 1e-12, "angstrom": 1e-10, "angstroms": 1e-10, "å": 1e-10, "a": 1e-10}
_METRES |= {"metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0}

_KEV = {"ev": 1e-3, "kev": 1.0, "mev": 1e3}

_PIXELS = {"pixel", "pixels", "px"}

_LEAST_SIDE = 64  # pixels; smaller arrays are spectra or maps


class AnalysisError(Exception):
    """The analysis cannot go on, for a reason that the message tells in one line."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Geometry:
    """Flat detector normal to the beam.

    Lengths in m, ``beam_y`` and ``beam_x`` in pixels from the outer corner of the first pixel, ``wavelength``
    in m.
    """

    distance: float
    pixel_y: float
    pixel_x: float
    beam_y: float
    beam_x: float
    wavelength: float

    def integrator(self) -> AzimuthalIntegrator:
        """pyFAI's integrator for this geometry (PONI = distance and foot of the beam in m)."""
        return AzimuthalIntegrator(
            dist=self.distance,
            poni1=self.beam_y * self.pixel_y,
            poni2=self.beam_x * self.pixel_x,
            pixel1=self.pixel_y,
            pixel2=self.pixel_x,
            wavelength=self.wavelength,
        )


@dataclass(frozen=True)
class Series:
    """A series of frames, read one at a time.

    ``errors`` is the path of standard errors of the same shape, empty for counts (Poisson),
    ``selection`` are the indices that take part, ``monitor`` (n,) the values to divide by, their mean 1, or
    None, ``mask`` (ny, nx) True where a pixel is not to be used, ``saturation`` [counts] or None.
    """

    file: Path
    path: str
    errors: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    selection: range
    mask: np.ndarray
    monitor: np.ndarray | None
    saturation: float | None
    instrument: str
    sample: str

    def frames(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Frames of the selection, in order: values and variance (ny, nx), NaN where there is no value."""
        with h5py.File(self.file, "r") as file:
            for index in self.selection:
                raw = _frame(file[self.path], index)
                bad = invalid(raw, is_count=not self.errors)
                values = np.where(bad, np.float32(np.nan), raw.astype(np.float32))
                errors = _frame(file[self.errors], index) if self.errors else np.sqrt(values)
                yield values, np.nan_to_num(np.asarray(errors, np.float32) ** 2)

    def normalisation(self, number: int) -> float:
        """Monitor value of the frame at place ``number`` of the selection, 1 without a monitor."""
        return 1.0 if self.monitor is None else float(self.monitor[number])


def open_series(
    input_file: str, *, entry: str = "", frames: str = ":", normalise_by: str = "", mask_file: str = ""
) -> Series:
    """Find the frames of a file.

    Parameters
    ----------
    input_file
        NeXus file with an NXdetector that holds (n, ny, nx) or (ny, nx) counts.
    entry
        Name of the entry; empty for the first that has frames.
    frames
        Which frames, as ``start:stop:step``.
    normalise_by
        Name or path of (n,) monitor values; empty for none.
    mask_file
        Image file, its pixels other than 0 are not used; empty for none.

    Raises
    ------
    AnalysisError
        If the file cannot be read, or frames, monitor or mask are missing or of another shape.
    """
    with _opened(input_file) as file:
        data = _detector_data(file, entry)
        shape = data.shape if data.ndim == 3 else (1, *data.shape)
        selection = range(*_slice(frames).indices(shape[0]))
        if not selection:
            raise AnalysisError(f"frames {frames} selects none of the {shape[0]} frames")
        saturation = _first(data.parent, lambda item: _name(item) == "saturation_value")
        series = Series(
            file=Path(input_file),
            path=data.name,
            errors=_errors(data),
            shape=shape,
            dtype=data.dtype,
            selection=selection,
            mask=_mask(data, shape[1:], mask_file),
            monitor=_monitor(file, normalise_by, shape[0], selection),
            saturation=None if saturation is None else float(saturation[()]),
            instrument=_text(file, "NXinstrument", "beamline"),
            sample=_text(file, "NXsample", "sample"),
        )
    if series.mask.all():
        raise AnalysisError("every pixel is masked: there is nothing to integrate")
    return series


def read_geometry(
    input_file: str,
    *,
    entry: str = "",
    distance: float | None = None,
    wavelength: float | None = None,
) -> Geometry:
    """Geometry of a NeXus file; ``distance`` [m] and ``wavelength`` [Å] replace what the file says.

    Raises
    ------
    AnalysisError
        If an item or its unit is missing, or a value cannot be right (say, millimetres called metres).
    """
    with _opened(input_file) as file:
        detector = _detector_data(file, entry).parent
        pixel_y = _length(detector, "y_pixel_size")
        pixel_x = _length(detector, "x_pixel_size")
        geometry = Geometry(
            distance=_length(detector, "distance") if distance is None else distance,
            pixel_y=pixel_y,
            pixel_x=pixel_x,
            beam_y=_beam_centre(detector, "beam_center_y", pixel_y),
            beam_x=_beam_centre(detector, "beam_center_x", pixel_x),
            wavelength=_wavelength(file) if wavelength is None else wavelength * 1e-10,
        )
    return _plausible(geometry)


def read_poni(poni_file: str) -> AzimuthalIntegrator:
    """Integrator of a pyFAI ``.poni`` file.

    Raises
    ------
    AnalysisError
        If it cannot be read or has no wavelength.
    """
    try:
        integrator = AzimuthalIntegrator()
        integrator.load(poni_file)
    except Exception as error:
        raise AnalysisError(f"{poni_file} is not a PONI file: {error}") from error
    if not integrator.wavelength:
        raise AnalysisError(f"{poni_file} has no wavelength")
    return integrator


def _plausible(geometry: Geometry) -> Geometry:
    """Refuse values that no instrument has: these are units gone wrong."""
    ranges = {
        "distance": (geometry.distance, 0.01, 50.0, "m"),
        "y_pixel_size": (geometry.pixel_y, 1e-6, 0.01, "m"),
        "x_pixel_size": (geometry.pixel_x, 1e-6, 0.01, "m"),
        "wavelength": (geometry.wavelength * 1e10, 0.01, 50.0, "Å"),
    }
    for name, (value, least, most, unit) in ranges.items():
        if not least <= value <= most:
            raise AnalysisError(
                f"{name} of {value:g} {unit} cannot be right: expected {least:g} to {most:g} {unit}"
            )
    return geometry


def _opened(input_file: str) -> h5py.File:
    try:
        return h5py.File(input_file, "r")
    except OSError as error:
        raise AnalysisError(f"{input_file} cannot be read: {error}") from error


def _detector_data(file: h5py.File, entry: str) -> h5py.Dataset:
    if entry and entry not in file:
        raise AnalysisError(f"{file.filename} has no entry {entry}; it has {', '.join(file)}")

    def is_stack(item: h5py.Dataset) -> bool:
        return (
            _nxclass(item.parent) == "NXdetector"
            and _name(item) == "data"
            and item.ndim in (2, 3)
            and min(item.shape[-2:]) >= _LEAST_SIDE
        )

    found = _first(file[entry] if entry else file, is_stack)
    if found is None:
        raise AnalysisError(f"{file.filename} has no NXdetector with a series of images named data")
    return found


def _length(detector: h5py.Group, name: str) -> float:
    """A length of the detector in m."""
    item = _required(detector, name)
    return float(np.ravel(item[()])[0]) * _factor(item, _METRES)


def _beam_centre(detector: h5py.Group, name: str, pixel: float) -> float:
    """Beam centre in pixels, from pixels or from a length."""
    item = _required(detector, name)
    value = float(np.ravel(item[()])[0])
    return value if _units(item) in _PIXELS else value * _factor(item, _METRES) / pixel


def _wavelength(file: h5py.File) -> float:
    """Wavelength in m, from a wavelength or a photon energy (λ = hc / E)."""
    item = _first(file, lambda found: bool(re.fullmatch(r"(incident_)?wavelength", _name(found))))
    if item is not None:
        return float(np.ravel(item[()])[0]) * _factor(item, _METRES)
    item = _first(file, lambda found: bool(re.fullmatch(r"(incident_)?energy", _name(found))))
    if item is None:
        raise AnalysisError(f"{file.filename} has neither a wavelength nor an energy of the beam")
    energy = float(np.ravel(item[()])[0]) * _factor(item, _KEV)
    if energy <= 0:
        raise AnalysisError(f"{item.name} of {energy:g} keV is not the energy of a photon")
    return HC_KEV_ANGSTROM / energy * 1e-10


def _factor(item: h5py.Dataset, table: dict[str, float]) -> float:
    unit = _units(item)
    if unit not in table:
        raise AnalysisError(f"{item.name} has {f'the unit {unit!r}' if unit else 'no unit'}: cannot be used")
    return table[unit]


def _required(group: h5py.Group, name: str) -> h5py.Dataset:
    if name not in group:
        raise AnalysisError(f"{group.name} has no {name}")
    return group[name]


def _mask(data: h5py.Dataset, shape: tuple[int, int], mask_file: str) -> np.ndarray:
    """Pixels not to be used: the file's mask, the person's, and the markers in the first frame.

    Detectors mark gaps with negative counts or the largest number of an unsigned type.
    """
    first = _frame(data, 0)
    mask = invalid(first, is_count=not _errors(data))
    if "pixel_mask" in data.parent:
        mask |= _of_shape(np.squeeze(data.parent["pixel_mask"][()]), shape, "pixel_mask") != 0
    if mask_file:
        import fabio

        try:
            image = fabio.open(mask_file).data
        except Exception as error:
            raise AnalysisError(f"{mask_file} is not an image: {error}") from error
        mask |= _of_shape(image, shape, mask_file) != 0
    return mask


def invalid(frame: np.ndarray, *, is_count: bool = True) -> np.ndarray:
    """Pixels (ny, nx) without a value: not finite, the largest unsigned number, or a negative count.

    Corrected intensities, which come with their errors, may be negative.
    """
    if frame.dtype.kind == "u":
        return frame == np.iinfo(frame.dtype).max
    return ~np.isfinite(frame) | ((frame < 0) if is_count else False)


def _errors(data: h5py.Dataset) -> str:
    """Path of the standard errors of a NeXus field (``data_errors``, ``errors``), or empty."""
    for name in ("data_errors", "errors"):
        item = data.parent.get(name)
        if isinstance(item, h5py.Dataset) and item.shape == data.shape:
            return str(item.name)
    return ""


def _frame(data: h5py.Dataset, index: int) -> np.ndarray:
    return data[index] if data.ndim == 3 else data[()]


def _of_shape(array: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    if array.shape != tuple(shape):
        raise AnalysisError(f"{name} has {array.shape} pixels, the frames have {tuple(shape)}")
    return array


def _monitor(file: h5py.File, name: str, count: int, selection: range) -> np.ndarray | None:
    if not name:
        return None
    item = file.get(name) or _first(file, lambda found: _name(found) == name)
    if not isinstance(item, h5py.Dataset) or item.shape != (count,):
        raise AnalysisError(
            f"normalise_by: {file.filename} has no {name} with a value for each of {count} frames"
        )
    values = item[()].astype(float)[list(selection)]
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise AnalysisError(f"normalise_by: {item.name} has values that are not positive")
    return values / values.mean()


def _slice(text: str) -> slice:
    try:
        return slice(*(int(part) if part else None for part in text.split(":")))
    except (ValueError, TypeError) as error:
        raise AnalysisError(f"frames: {text!r} is not start:stop:step") from error


def _first(group: h5py.Group, accept: Callable[[h5py.Dataset], bool]) -> h5py.Dataset | None:
    """First dataset below a group that is accepted, by each of its names (``visititems`` knows but one)."""
    return next((item for item in _datasets(group, set()) if accept(item)), None)


def _datasets(group: h5py.Group, seen: set[tuple[int, int]]) -> Iterator[h5py.Dataset]:
    """Datasets below a group; links are followed, broken ones left out, circles visited once."""
    info = h5py.h5o.get_info(group.id)
    if (info.fileno, info.addr) in seen:
        return
    seen.add((info.fileno, info.addr))
    for name in group:
        try:
            item = group[name]
        except (KeyError, OSError):
            continue
        if isinstance(item, h5py.Dataset):
            yield item
        elif isinstance(item, h5py.Group):
            yield from _datasets(item, seen)


def _text(file: h5py.File, nxclass: str, default: str) -> str:
    item = _first(file, lambda found: _name(found) == "name" and _nxclass(found.parent) == nxclass)
    return default if item is None else item.asstr()[()] if item.shape == () else default


def _name(item: h5py.Dataset) -> str:
    return item.name.rsplit("/", 1)[-1]


def _nxclass(group: h5py.Group) -> str:
    value = group.attrs.get("NX_class", "")
    return value.decode() if isinstance(value, bytes) else str(value)


def _units(item: h5py.Dataset) -> str:
    value = item.attrs.get("units", "")
    return (value.decode() if isinstance(value, bytes) else str(value)).strip().lower()
