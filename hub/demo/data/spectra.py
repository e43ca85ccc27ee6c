"""Measured absorption, fluorescence and neutron scattering data, and a simulated fluorescence map.

The measured files come from published packages (`hub/demo/measured.lock`, licences MIT and
BSD-3) and are written as NeXus with what the source says, and nothing that it does not.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hub.demo.data import nexus
from hub.demo.data.diffraction import Report

Spectrum: TypeAlias = NDArray[Any]

_SANS_FILE = "sasdata/example_data/2d_data/33837rear_2D_1.75_16.5_NXcanSAS_v3.h5"

_STEEL_ZERO_KEV, _STEEL_GAIN_KEV = -0.00612446976449, 0.0119281593146
"""Energy calibration of the steel spectrum, from the configuration file beside it."""

_LINES_KEV = {"Ca": (3.692, 4.013), "Fe": (6.404, 7.058), "Cu": (8.048, 8.905), "Zn": (8.639, 9.572)}
"""K-alpha and K-beta energies (X-ray Data Booklet, table 1-2)."""


def measured_exafs(path: Path, meta: dict[str, str], sources: Path, report: Report) -> None:
    """Absorption of a copper foil at the K edge (measured)."""
    lines = (sources / "PyMca5/PyMcaData/EXAFS_Cu.dat").read_text("ascii").splitlines()
    rows = np.array([line.split() for line in lines if line and line[0].isdigit()], dtype=float)
    with nexus.new_file(path, **_about(meta)) as entry:
        nexus.techniques(entry, *meta["techniques"].split())
        nexus.note(entry, meta["note"])
        instrument = nexus.group(entry, "instrument", "NXinstrument")
        instrument["name"] = meta["instrument"]
        nexus.source(instrument)
        sample = nexus.group(entry, "sample", "NXsample")
        sample["name"] = meta["sample"]
        data = nexus.group(entry, "data", "NXdata", signal="mu", axes="energy")
        nexus.field(data, "energy", rows[:, 0], "eV")
        nexus.field(data, "mu", rows[:, 1])
        entry.attrs["default"] = "data"
    report(1.0)


def measured_steel(path: Path, meta: dict[str, str], sources: Path, report: Report) -> None:
    """Fluorescence spectrum of the steel standard NIST SRM 1155 (measured)."""
    text = (sources / "PyMca5/PyMcaData/Steel.spe").read_text("ascii")
    first, last, *counts = text.split("$DATA:", 1)[1].split("$", 1)[0].split()
    spectrum = np.array(counts[: int(last) - int(first) + 1], dtype=float)
    energy = _STEEL_ZERO_KEV + _STEEL_GAIN_KEV * np.arange(spectrum.size)
    _fluorescence(path, meta, spectrum, energy)
    report(1.0)


def fluorescence_map(path: Path, meta: dict[str, str], _sources: Path, report: Report) -> None:
    """48 x 48 spectra of four elements with known maps (simulated)."""
    size, channels = 48, 1024
    random = np.random.default_rng(48)
    energy = 0.0125 * np.arange(channels)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    maps = {
        "Ca": 1.0 + 0.5 * x,
        "Fe": np.exp(-((x - 0.3) ** 2 + (y + 0.2) ** 2) / 0.1),
        "Cu": (np.hypot(x, y) < 0.6).astype(float),
        "Zn": 0.5 * (1 + np.sin(6 * y)),
    }
    expected = np.full((size, size, channels), 0.3)
    for number, (element, weight) in enumerate(maps.items()):
        expected += weight[..., np.newaxis] * _lines(element, energy)
        report((number + 1) / 5)
    cube = np.asarray(random.poisson(expected), dtype="uint16")
    _fluorescence(path, meta, cube, energy, truth=maps)
    report(1.0)


def _lines(element: str, energy: Spectrum) -> Spectrum:
    """Spectrum of one element [counts per channel], K-beta at 13 % of K-alpha."""
    alpha, beta = _LINES_KEV[element]
    sigma = 0.06
    result: Spectrum = 60.0 * (
        np.exp(-0.5 * ((energy - alpha) / sigma) ** 2) + 0.13 * np.exp(-0.5 * ((energy - beta) / sigma) ** 2)
    )
    return result


def _fluorescence(
    path: Path,
    meta: dict[str, str],
    counts: Spectrum,
    energy: Spectrum,
    *,
    truth: dict[str, Spectrum] | None = None,
) -> None:
    with nexus.new_file(path, **_about(meta)) as entry:
        entry["definition"] = "NXfluo"
        nexus.techniques(entry, *meta["techniques"].split())
        nexus.note(entry, meta["note"])
        instrument = nexus.group(entry, "instrument", "NXinstrument")
        instrument["name"] = meta["instrument"]
        nexus.source(instrument)
        mono = nexus.group(instrument, "monochromator", "NXmonochromator")
        nexus.field(mono, "wavelength", 12.398419843320026 / float(meta.get("energy_kev", 17.0)), "angstrom")
        detector = nexus.group(instrument, "fluorescence", "NXdetector")
        nexus.field(detector, "data", counts, "counts")
        nexus.field(detector, "energy", energy, "keV")
        sample = nexus.group(entry, "sample", "NXsample")
        sample["name"] = meta["sample"]
        monitor = nexus.group(entry, "monitor", "NXmonitor")
        monitor["mode"] = "timer"
        nexus.field(monitor, "preset", 1.0, "s")
        nexus.field(monitor, "data", np.ones(1))
        data = nexus.group(entry, "data", "NXdata", signal="data")
        data["data"], data["energy"] = detector["data"], detector["energy"]
        for element, values in (truth or {}).items():
            known = entry.require_group("truth")
            known.attrs["NX_class"] = "NXcollection"
            nexus.field(known, element, values)
        entry.attrs["default"] = "data"


def measured_sans(path: Path, _meta: dict[str, str], sources: Path, report: Report) -> None:
    """2D neutron scattering of SANS2D at ISIS (measured), the published file as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    shutil.copyfile(sources / _SANS_FILE, part)
    nexus.stamp(part)
    part.chmod(0o640)
    part.rename(path)
    report(1.0)


def _about(meta: dict[str, str]) -> dict[str, str]:
    return {key: meta[key] for key in ("title", "proposal", "start")}
