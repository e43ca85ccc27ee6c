"""Simulated powder rings with known truth, and a measured 2D pattern.

Rings: lines of a calibrant from pyFAI's table (2θ by Bragg's law) with a Gaussian profile, on a
smooth background, times the solid angle and polarisation of each pixel, with Poisson noise and
the gaps of the real detector as mask. Geometry is plain: no tilts, so that distance, pixel size
and beam centre tell all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from hub.demo.data import nexus

Report = Callable[[float], None]
"""Told how much of one file is done, 0 to 1."""

Image: TypeAlias = NDArray[np.float64]

_FWHM = np.radians(0.09)
"""Width of a line [rad 2θ]: about two pixels, so that sampling at pixel centres does no harm."""

_POLARISATION = 0.95
"""Horizontal polarisation of a bending magnet or undulator beam at a synchrotron."""

_PEAK_COUNTS = 900.0
_BACKGROUND_COUNTS = 25.0


@dataclass(frozen=True, slots=True)
class Geometry:
    """Truth of a simulated measurement. Lengths in m, beam centre in pixels (x: fast axis)."""

    distance: float
    wavelength: float
    beam_x: float
    beam_y: float
    detector: str = "Pilatus1M"


LAB6 = Geometry(distance=0.2500, wavelength=0.4000e-10, beam_x=478.6, beam_y=512.3)
CEO2 = Geometry(distance=0.3100, wavelength=0.4000e-10, beam_x=470.2, beam_y=530.9)


def lab6_series(path: Path, meta: dict[str, str], _sources: Path, report: Report) -> None:
    """20 frames of LaB6 SRM 660c."""
    _rings(path, meta, report, calibrant="LaB6_SRM660c", geometry=LAB6, frames=20, seed=660)


def lab6_short(path: Path, meta: dict[str, str], _sources: Path, report: Report) -> None:
    """4 frames of LaB6 SRM 660c, detector farther away."""
    geometry = Geometry(distance=0.3500, wavelength=LAB6.wavelength, beam_x=481.1, beam_y=509.8)
    _rings(path, meta, report, calibrant="LaB6_SRM660c", geometry=geometry, frames=4, seed=661)


def ceo2_series(path: Path, meta: dict[str, str], _sources: Path, report: Report) -> None:
    """6 frames of CeO2."""
    _rings(path, meta, report, calibrant="CeO2", geometry=CEO2, frames=6, seed=58)


def _rings(
    path: Path,
    meta: dict[str, str],
    report: Report,
    *,
    calibrant: str,
    geometry: Geometry,
    frames: int,
    seed: int,
) -> None:
    expected, mask, pixel = expected_counts(calibrant, geometry)
    random = np.random.default_rng(seed)
    # The beam decays by 5 % and flickers by 0.5 % (1 sigma), as the monitor shows.
    monitor = np.linspace(1.0, 0.95, frames) * random.normal(1.0, 0.005, frames)
    with nexus.new_file(path, **_about(meta)) as entry:
        detector = _sas_entry(entry, meta, geometry, pixel)
        stack = nexus.frames(detector, "data", (frames, *expected.shape), "int32", "counts")
        for number in range(frames):
            image = np.asarray(random.poisson(expected * monitor[number]))
            image[mask] = -1
            stack[number] = image
            report((number + 1) / frames)
        nexus.field(detector, "pixel_mask", mask.astype("uint32"))
        nexus.field(detector, "count_time", np.full(frames, 1.0), "s")
        _control(entry, monitor)
        _plot(entry, detector)


def expected_counts(calibrant: str, geometry: Geometry) -> tuple[Image, NDArray[np.bool_], float]:
    """Expected counts per pixel, the detector's mask, and the pixel size [m].

    Returns
    -------
    counts: (ny, nx) [counts], mask: (ny, nx), True where the detector has no pixel
    """
    from pyFAI.calibrant import get_calibrant
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

    integrator = AzimuthalIntegrator(detector=geometry.detector, wavelength=geometry.wavelength)
    pixel = float(integrator.detector.pixel1)
    integrator.dist = geometry.distance
    # pyFAI counts from the corner of the first pixel, NeXus' beam centre from its corner as well.
    integrator.poni1, integrator.poni2 = geometry.beam_y * pixel, geometry.beam_x * pixel
    lines = get_calibrant(calibrant)
    lines.wavelength = geometry.wavelength
    shape = integrator.detector.shape
    two_theta = integrator.array_from_unit(shape, unit="2th_rad", typ="center")
    signal = _profile(two_theta, np.asarray(lines.get_2th()), _intensities(lines))
    factor = integrator.solidAngleArray(shape) * integrator.polarization(shape, factor=_POLARISATION)
    return signal * factor, np.asarray(integrator.detector.mask, dtype=bool), pixel


def _intensities(lines: Any) -> Image:
    """Relative intensity of each line from the calibrant's table; a slow decay where it has none."""
    angles = np.asarray(lines.get_2th())
    decay: Image = np.exp(-np.arange(angles.size) / 12.0)
    if lines.config is None:
        return decay
    known = [line.intensity for line in lines.config.reflections[: angles.size]]
    return np.array([(one or 5.0) / 100.0 for one in known])


def _profile(two_theta: Image, angles: Image, intensities: Image) -> Image:
    """Lines on a falling background [counts]."""
    sigma = _FWHM / (2 * np.sqrt(2 * np.log(2)))
    grid = np.arange(0.0, float(two_theta.max()) + 10 * sigma, sigma / 20)
    curve = _BACKGROUND_COUNTS * (0.4 + np.exp(-grid / np.radians(6.0)))
    for angle, intensity in zip(angles, intensities, strict=True):
        curve += _PEAK_COUNTS * intensity * np.exp(-0.5 * ((grid - angle) / sigma) ** 2)
    result: Image = np.interp(two_theta, grid, curve)
    return result


def _about(meta: dict[str, str]) -> dict[str, str]:
    return {key: meta[key] for key in ("title", "proposal", "start")}


def _sas_entry(entry: Any, meta: dict[str, str], geometry: Geometry, pixel: float) -> Any:
    entry["definition"] = "NXsas"
    nexus.techniques(entry, *meta["techniques"].split())
    nexus.note(entry, meta["note"])
    instrument = nexus.group(entry, "instrument", "NXinstrument")
    instrument["name"] = meta["instrument"]
    nexus.source(instrument)
    mono = nexus.group(instrument, "monochromator", "NXmonochromator")
    nexus.field(mono, "wavelength", geometry.wavelength * 1e10, "angstrom")
    nexus.field(mono, "wavelength_spread", 1e-4)
    collimator = nexus.group(instrument, "collimator", "NXcollimator")
    shape = nexus.group(nexus.group(collimator, "geometry", "NXgeometry"), "shape", "NXshape")
    shape["shape"] = "nxbox"
    nexus.field(shape, "size", np.array([2e-4, 2e-4]), "m")
    sample = nexus.group(entry, "sample", "NXsample")
    sample["name"] = meta["sample"]
    detector = nexus.group(instrument, "detector", "NXdetector")
    detector["description"] = geometry.detector
    for name, value, units in (
        ("distance", geometry.distance, "m"),
        ("x_pixel_size", pixel, "m"),
        ("y_pixel_size", pixel, "m"),
        ("beam_center_x", geometry.beam_x, "pixel"),
        ("beam_center_y", geometry.beam_y, "pixel"),
        ("polar_angle", 0.0, "deg"),
        ("azimuthal_angle", 0.0, "deg"),
        ("rotation_angle", 0.0, "deg"),
        ("aequatorial_angle", 0.0, "deg"),
    ):
        nexus.field(detector, name, value, units)
    return detector


def _control(entry: Any, monitor: Image) -> None:
    control = nexus.group(entry, "control", "NXmonitor")
    control["mode"] = "timer"
    nexus.field(control, "preset", 1.0, "s")
    nexus.field(control, "integral", float(monitor.sum()))
    nexus.field(control, "data", monitor)


def _plot(entry: Any, detector: Any) -> None:
    data = nexus.group(entry, "data", "NXdata", signal="data")
    data["data"] = detector["data"]
    entry.attrs["default"] = "data"


MOUSE_Q_PER_PIXEL = 2.63891909e-4
"""q per pixel near the beam [1/Å], fitted to the q values in the measured file."""

MOUSE = Geometry(
    # Small angles fix distance x wavelength only (2 pi p / q); copper K-alpha is taken.
    distance=2 * np.pi * 75e-6 / (1.5406 * MOUSE_Q_PER_PIXEL),
    wavelength=1.5406e-10,
    beam_x=506.161 + 0.5,
    beam_y=406.774 + 0.5,
    detector="Eiger1M",
)
"""Geometry of the measured SAXS pattern, recovered from its q values (largest difference 6e-5 1/Å)."""


def measured_saxs(path: Path, meta: dict[str, str], sources: Path, report: Report) -> None:
    """SAXS of an oriented iron sample measured at BAM, as one NXsas frame with its mask."""
    with h5py.File(sources / "sasdata/example_data/2d_data/BAM_2D.h5", "r") as file:
        data = file["sasentry01/data"]
        intensity, error = data["I"][()].astype("float32"), data["Idev"][()].astype("float32")
        mask = data["Imask"][()]
    report(0.4)
    with nexus.new_file(path, **_about(meta)) as entry:
        detector = _sas_entry(entry, meta, MOUSE, 75e-6)
        stack = nexus.frames(detector, "data", (1, *intensity.shape), "float32", "1/m")
        stack[0] = intensity
        errors = nexus.frames(detector, "data_errors", (1, *intensity.shape), "float32", "1/m")
        errors[0] = error
        nexus.field(detector, "pixel_mask", mask.astype("uint32"))
        _control(entry, np.ones(1))
        _plot(entry, detector)
    report(1.0)
