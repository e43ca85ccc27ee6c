"""Runs in the sessions' environment: what the demo's files hold, as JSON. Not a test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np


def lines(path: Path, calibrant: str) -> dict[str, object]:
    """Distance of each line of an integrated series from its place in the table [deg 2θ]."""
    from pyFAI.calibrant import get_calibrant
    from pyFAI.detectors import Detector
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator

    with h5py.File(path) as file:
        entry = file["entry"]
        detector = entry["instrument/detector"]
        pixel = detector["x_pixel_size"][()]
        wavelength = entry["instrument/monochromator/wavelength"][()] * 1e-10
        integrator = AzimuthalIntegrator(
            dist=detector["distance"][()],
            poni1=detector["beam_center_y"][()] * pixel,
            poni2=detector["beam_center_x"][()] * pixel,
            detector=Detector(pixel, pixel, max_shape=detector["data"].shape[1:]),
            wavelength=wavelength,
        )
        mean, mask = detector["data"][()].mean(axis=0), detector["pixel_mask"][()]
        units = {
            name: detector[name].attrs["units"] for name in ("distance", "x_pixel_size", "beam_center_x")
        }
        frames = detector["data"].shape[0]
        definition = entry["definition"].asstr()[()]
    curve = integrator.integrate1d(mean, 2000, unit="2th_deg", mask=mask, polarization_factor=0.95)
    table = get_calibrant(calibrant)
    table.wavelength = wavelength
    inside = [angle for angle in np.degrees(table.get_2th()) if angle < curve.radial.max() - 1.0]
    offsets = [_centroid(curve.radial, curve.intensity, angle) - angle for angle in inside]
    return {"offsets": offsets, "units": units, "frames": frames, "definition": definition}


def _centroid(x: np.ndarray, y: np.ndarray, angle: float) -> float:
    near, around = abs(x - angle) < 0.12, abs(x - angle) < 0.4
    height = np.clip(y[near] - np.median(y[around]), 0, None)
    return float((x[near] * height).sum() / height.sum())


def tomography(path: Path) -> dict[str, object]:
    """Axis of rotation from the centres of mass of opposite projections [pixels]."""
    with h5py.File(path) as file:
        entry = file["entry"]
        keys = entry["instrument/detector/image_key"][()]
        data = entry["instrument/detector/data"][()].astype(float)
    dark, flat = data[keys == 2].mean(axis=0), data[keys == 1].mean(axis=0)
    attenuation = -np.log(np.clip((data[keys == 0] - dark) / (flat - dark), 1e-3, None)).sum(axis=1)
    columns = np.arange(attenuation.shape[1])
    centres = (attenuation * columns).sum(axis=1) / attenuation.sum(axis=1)
    # Centres of mass move as a sine around the axis; 0 and 180 degrees are both there.
    return {"axis": float((centres[0] + centres[-1]) / 2), "keys": np.bincount(keys).tolist()}


def exafs(path: Path) -> dict[str, object]:
    """Energy of the steepest rise [eV]."""
    with h5py.File(path) as file:
        energy, mu = file["entry/data/energy"][()], file["entry/data/mu"][()]
    return {"edge": float(energy[np.gradient(mu, energy).argmax()]), "points": energy.size}


def steel(path: Path) -> dict[str, object]:
    """Energy of the highest line [keV]."""
    with h5py.File(path) as file:
        detector = file["entry/instrument/fluorescence"]
        return {"line": float(detector["energy"][()][detector["data"][()].argmax()])}


def saxs(path: Path) -> dict[str, object]:
    """Share of masked pixels, and q of one pixel beside the beam [1/Å]."""
    with h5py.File(path) as file:
        entry = file["entry"]
        detector = entry["instrument/detector"]
        wavelength = entry["instrument/monochromator/wavelength"][()]
        angle = np.arctan(detector["x_pixel_size"][()] / detector["distance"][()])
        return {
            "masked": float(detector["pixel_mask"][()].astype(bool).mean()),
            "q": float(4 * np.pi / wavelength * np.sin(angle / 2)),
            "note": entry["note/description"].asstr()[()],
        }


if __name__ == "__main__":
    name, path, *rest = sys.argv[1:]
    print(json.dumps(globals()[name](Path(path), *rest)))
