"""Simulated powder rings of LaB6 as an NXsas-like file, with known truth and without pyFAI.

Cubic cell of NIST SRM 660c, a = 4.156826 Å; Gaussian lines in 2θ on a flat background, averaged over
each pixel, times the solid angle cos³(2θ), Poisson counts. Being independent of the library under test,
it finds errors of convention (corner or centre of a pixel, say) that a round trip would hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

CELL_ANGSTROM = 4.156826

_LINES = {(1, 0, 0): 64, (1, 1, 0): 100, (1, 1, 1): 42, (2, 0, 0): 20, (2, 1, 0): 43, (2, 1, 1): 21}
_LINES |= {(2, 2, 0): 8, (3, 0, 0): 21, (3, 1, 0): 15, (3, 1, 1): 9, (2, 2, 2): 2, (3, 2, 0): 5}
_LINES |= {(3, 2, 1): 10}

_SUBPIXELS = 5


@dataclass(frozen=True)
class Lab6:
    """What is simulated. Lengths in m, wavelength in Å, beam in pixels from the outer corner."""

    frames: int = 4
    shape: tuple[int, int] = (619, 487)
    pixel: float = 172e-6
    distance: float = 0.15
    wavelength: float = 0.5
    beam_y: float = 301.3
    beam_x: float = 250.8
    width_deg: float = 0.06
    peak_counts: float = 800.0
    background_counts: float = 60.0
    seed: int = 660

    def mean_counts(self) -> np.ndarray:
        """Expected counts (ny, nx)."""
        steps = (np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS
        total = np.zeros(self.shape)
        for sub_y in steps:
            for sub_x in steps:
                total += self._at(sub_y, sub_x)
        return total / _SUBPIXELS**2

    def _at(self, sub_y: float, sub_x: float) -> np.ndarray:
        y = (np.arange(self.shape[0])[:, None] + sub_y - self.beam_y) * self.pixel
        x = (np.arange(self.shape[1])[None, :] + sub_x - self.beam_x) * self.pixel
        angle = np.arctan2(np.hypot(y, x), self.distance)
        pattern = np.full(self.shape, self.background_counts)
        for position, intensity in zip(self.lines_deg(), _LINES.values(), strict=True):
            distance = (np.rad2deg(angle) - position) / self.width_deg
            pattern += self.peak_counts * intensity / 100 * np.exp(-(distance**2) / 2)
        return pattern * np.cos(angle) ** 3

    def lines_deg(self) -> list[float]:
        """2θ of the lines by Bragg's law [degrees]."""
        orders = [np.sqrt(h * h + k * k + l * l) for h, k, l in _LINES]  # noqa: E741 - Miller indices
        return [2 * float(np.rad2deg(np.arcsin(self.wavelength * n / 2 / CELL_ANGSTROM))) for n in orders]

    def counts(self) -> np.ndarray:
        """Frames (n, ny, nx) of Poisson counts, module gaps marked by -1."""
        mean = self.mean_counts()
        generator = np.random.default_rng(self.seed)
        data = generator.poisson(mean, size=(self.frames, *self.shape)).astype(np.int32)
        data[:, 195:212, :] = -1
        data[:, 407:424, :] = -1
        return data


def write_nxsas(path: Path, truth: Lab6, data: np.ndarray | None = None) -> Path:
    """Write frames and geometry as an NXsas-like file."""
    with h5py.File(path, "w") as file:
        entry = _group(file, "entry", "NXentry")
        entry["definition"] = "NXsas"
        entry["title"] = "LaB6"
        entry["identifier_technique_1"] = "http://purl.org/pan-science/PaNET/PaNET01101"
        _group(entry, "sample", "NXsample")["name"] = "LaB6"
        instrument = _group(entry, "instrument", "NXinstrument")
        instrument["name"] = "simulation"
        beam = _group(instrument, "monochromator", "NXmonochromator")
        _scalar(beam, "wavelength", truth.wavelength, "angstrom")
        detector = _group(instrument, "detector", "NXdetector")
        frames = truth.counts() if data is None else data
        detector.create_dataset("data", data=frames, chunks=(1, *frames.shape[1:]), compression="gzip")
        plot = _group(entry, "data", "NXdata")
        plot.attrs["signal"] = "data"
        plot["data"] = detector["data"]  # a second name of the frames, as most files have
        _scalar(detector, "distance", truth.distance, "m")
        for axis, centre in (("x", truth.beam_x), ("y", truth.beam_y)):
            _scalar(detector, f"{axis}_pixel_size", truth.pixel, "m")
            _scalar(detector, f"beam_center_{axis}", centre, "pixel")
        _group(entry, "monitor", "NXmonitor")["data"] = np.linspace(1.0, 1.3, len(frames))
    return path


def _scalar(group: h5py.Group, name: str, value: float, unit: str) -> None:
    group[name] = value
    group[name].attrs["units"] = unit


def _group(parent: h5py.Group, name: str, nxclass: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nxclass
    return group
