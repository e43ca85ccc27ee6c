"""A simulated tomography scan of the Shepp-Logan head with known centre of rotation.

Line integrals of the ellipsoids are exact (chord length of an ellipse), not a projection of a
pixel image, so that a reconstruction is not tested against its own errors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hub.demo.data import nexus
from hub.demo.data.diffraction import Report

_WIDTH, _ROWS, _ANGLES, _FIELDS = 256, 8, 361, 10
CENTRE_PX = 130.35
"""Truth: axis of rotation on the detector [pixels]."""

_PHOTONS = 20_000.0
_PIXEL_M = 10e-6
_MU_PER_PX = 0.012
"""Attenuation of value 1 of the phantom, per pixel: about 60 % of the beam is left in the middle."""

_ELLIPSOIDS = (
    # value, half axes a, b, c, centre x, y, z, rotation [deg]: Kak & Slaney, table 3.1 (raised contrast)
    (1.0, 0.69, 0.92, 0.81, 0.0, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.78, 0.0, -0.0184, 0.0, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.22, 0.0, 0.0, -18.0),
    (-0.2, 0.16, 0.41, 0.28, -0.22, 0.0, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.41, 0.0, 0.35, -0.15, 0.0),
    (0.1, 0.046, 0.046, 0.05, 0.0, 0.1, 0.25, 0.0),
    (0.1, 0.046, 0.046, 0.05, 0.0, -0.1, 0.25, 0.0),
    (0.1, 0.046, 0.023, 0.05, -0.08, -0.605, 0.0, 0.0),
    (0.1, 0.023, 0.023, 0.02, 0.0, -0.605, 0.0, 0.0),
    (0.1, 0.023, 0.046, 0.02, 0.06, -0.605, 0.0, 0.0),
)


def tomography_scan(path: Path, meta: dict[str, str], _sources: Path, report: Report) -> None:
    """Darks, flats and 361 projections over 180 degrees."""
    random = np.random.default_rng(1974)
    angles = np.linspace(0.0, 180.0, _ANGLES)
    flat = _PHOTONS * (1 + 0.1 * np.cos(np.linspace(-1, 1, _WIDTH)) * random.normal(1, 0.02, (_ROWS, _WIDTH)))
    keys = np.repeat(np.array([2, 1, 0], dtype="uint8"), [_FIELDS, _FIELDS, _ANGLES])
    rotation = np.concatenate([np.zeros(2 * _FIELDS), angles])
    with nexus.new_file(path, title=meta["title"], proposal=meta["proposal"], start=meta["start"]) as entry:
        entry["definition"] = "NXtomo"
        nexus.techniques(entry, *meta["techniques"].split())
        nexus.note(entry, meta["note"])
        instrument = nexus.group(entry, "instrument", "NXinstrument")
        instrument["name"] = meta["instrument"]
        nexus.source(instrument)
        detector = nexus.group(instrument, "detector", "NXdetector")
        stack = nexus.frames(detector, "data", (keys.size, _ROWS, _WIDTH), "uint16", "counts")
        stack[: 2 * _FIELDS] = _fields(flat, random)
        for number, angle in enumerate(angles):
            transmitted = flat * np.exp(-line_integrals(np.radians(angle))) + 100.0
            stack[2 * _FIELDS + number] = random.poisson(transmitted)
            report((number + 1) / _ANGLES)
        nexus.field(detector, "image_key", keys)
        nexus.field(detector, "x_pixel_size", _PIXEL_M, "m")
        nexus.field(detector, "y_pixel_size", _PIXEL_M, "m")
        nexus.field(detector, "distance", 0.05, "m")
        beam = nexus.group(instrument, "beam", "NXbeam")
        nexus.field(beam, "incident_energy", 25.0, "keV")
        sample = nexus.group(entry, "sample", "NXsample")
        sample["name"] = meta["sample"]
        nexus.field(sample, "rotation_angle", rotation, "degree")
        control = nexus.group(entry, "control", "NXmonitor")
        nexus.field(control, "data", np.ones(keys.size))
        data = nexus.group(entry, "data", "NXdata", signal="data")
        data["data"], data["image_key"] = detector["data"], detector["image_key"]
        data["rotation_angle"] = sample["rotation_angle"]
        entry.attrs["default"] = "data"


def _fields(flat: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    darks = random.poisson(np.full((_FIELDS, *flat.shape), 100.0))
    flats = random.poisson(np.repeat(flat[np.newaxis], _FIELDS, axis=0) + 100.0)
    return np.concatenate([darks, flats])


def line_integrals(angle: float) -> NDArray[np.float64]:
    """Line integrals of the phantom at one angle [rad], (rows, width), in units of attenuation."""
    scale = _WIDTH / 2
    s = ((np.arange(_WIDTH) - CENTRE_PX) / scale)[np.newaxis, :]
    # Rows are thin slices around the middle, where the small features are.
    z = (np.linspace(-0.12, 0.12, _ROWS))[:, np.newaxis]
    total = np.zeros((_ROWS, _WIDTH))
    for value, a, b, c, x0, y0, z0, tilt in _ELLIPSOIDS:
        # An ellipsoid cut at z is an ellipse with both half axes smaller by `cut`.
        cut = np.sqrt(np.clip(1 - ((z - z0) / c) ** 2, 0.0, None))
        theta = angle - np.radians(tilt)
        half = cut * np.sqrt((a * np.cos(theta)) ** 2 + (b * np.sin(theta)) ** 2)
        away = s - (x0 * np.cos(angle) + y0 * np.sin(angle))
        inside = np.clip(half**2 - away**2, 0.0, None)
        with np.errstate(divide="ignore", invalid="ignore"):
            chord = 2 * a * b * cut**2 * np.sqrt(inside) / half**2
        total += value * np.nan_to_num(chord)
    result: NDArray[np.float64] = total * scale * _MU_PER_PX
    return result
