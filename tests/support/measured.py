"""Real measured detector images, fetched once into ``build/`` from a published package.

jscatter carries an image of silver behenate from a laboratory SAXS instrument with the instrument's own
geometry in its header: distance, wavelength and beam centre were not found by the code under test.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hub.demo.install import TOOLS
from tests.support.lab6 import Lab6, write_nxsas
from tests.support.required import require

_ROOT = Path(__file__).parents[2]

_FOLDER = _ROOT / "build/measured"

_IMAGES = _FOLDER / "jscatter/examples/exampleData"


@dataclass(frozen=True)
class Measured:
    """An image with the geometry its instrument wrote. Lengths in m, wavelength in Å."""

    image: Path
    distance: float
    wavelength: float
    beam_y: float
    beam_x: float


def silver_behenate() -> Measured:
    """Silver behenate on a Pilatus 300K (wheel of jscatter, calibration.tiff)."""
    image = _IMAGES / "calibration.tiff"
    if not image.exists():
        _fetch()
    require(image.exists(), "the measured images (package jscatter from the package index)")
    header = image.read_bytes().partition(b"<?xml")[2].decode("ascii", "replace")
    beam_y, beam_x = (float(part) for part in _parameter(header, "beamcenter_actual").split())
    return Measured(
        image=image,
        distance=float(_parameter(header, "detector_dist")) * 1e-3,
        wavelength=float(_parameter(header, "wavelength")),
        beam_y=beam_y,
        beam_x=beam_x,
    )


def write_measured(path: Path, measured: Measured, counts: np.ndarray) -> Path:
    """Write the image as an NXsas-like file of one frame."""
    geometry = Lab6(
        frames=1,
        shape=counts.shape,
        distance=measured.distance,
        wavelength=measured.wavelength,
        beam_y=measured.beam_y,
        beam_x=measured.beam_x,
    )
    write_nxsas(path, geometry, counts[None])
    with h5py.File(path, "r+") as file:
        for name, value in {"sample/name": "AgBeh", "instrument/name": "laboratory SAXS"}.items():
            del file["entry"][name]
            file["entry"][name] = value
    return path


def _parameter(header: str, name: str) -> str:
    match = re.search(rf'<param name="{name}">([^<]+)</param>', header)
    assert match is not None, f"the image's header has no {name}"
    return match[1]


def _fetch() -> None:
    """Unpack the wheel, checked by its hash; nothing of it is ever imported."""
    subprocess.run(
        [
            *(TOOLS / "uv/bin/uv", "pip", "install", "-q", "--no-deps", "--only-binary", ":all:"),
            *("--python", sys.executable),
            *("--require-hashes", "--target", _FOLDER, "-r", Path(__file__).with_name("measured.txt")),
        ],
        check=False,
    )
