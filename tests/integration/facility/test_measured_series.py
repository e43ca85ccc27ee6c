"""The azimuthal template on a measured image of the demo, beside a plain radial mean of the same pixels."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from templates.catalogue import Library
from tests.integration.facility.conftest import MadeFacility
from tests.support.notebooks import run_template

Array = npt.NDArray[np.float64]


def plain_radial_mean(image: Path, axis_deg: Array) -> Array:
    """Mean of the unmasked pixels whose 2θ [degrees] is nearest to each value of the axis."""
    with h5py.File(image, "r") as file:
        detector = file["entry/instrument/detector"]
        data = file["entry/data/data"][0].astype(np.float64)
        mask = detector["pixel_mask"][()] != 0
        centre = detector["beam_center_x"][()], detector["beam_center_y"][()]
        pixel = detector["x_pixel_size"][()], detector["y_pixel_size"][()]
        distance = detector["distance"][()]
    rows, columns = np.indices(data.shape)
    radius = np.hypot((columns + 0.5 - centre[0]) * pixel[0], (rows + 0.5 - centre[1]) * pixel[1])
    angle = np.rad2deg(np.arctan2(radius, distance))[~mask]
    step = axis_deg[1] - axis_deg[0]
    index = np.round((angle - axis_deg[0]) / step).astype(int)
    inside = (index >= 0) & (index < len(axis_deg)) & np.isfinite(data[~mask])
    total = np.bincount(index[inside], data[~mask][inside], minlength=len(axis_deg))
    count = np.bincount(index[inside], minlength=len(axis_deg))
    with np.errstate(invalid="ignore"):
        return np.where(count >= 20, total / count, np.nan)


def test_the_template_gives_the_radial_mean_of_a_measured_image(facility: MadeFacility, tmp_path: Path):
    [image] = facility.data_root.glob("sc6120/*/*/RAW_DATA/*/*ron*/*.h5")
    template = Library.load().get("saxs-azimuthal-integration")
    assert template is not None
    # A mean of corrected intensities: no polarisation or solid angle is left to correct.
    outcome = run_template(template, image, tmp_path / "work", {"polarization_factor": 0.0})
    assert outcome.code == 0, outcome.log[-2000:]
    [result] = outcome.outputs.glob("*_azint.nxs")
    with h5py.File(result, "r") as file:
        axis = file["entry/data/radial_axis"][()].astype(np.float64)
        pattern = file["entry/data/I"][0].astype(np.float64)
        assert file["entry/data/radial_axis"].attrs["units"] == "degrees"
    plain = plain_radial_mean(image, axis)
    known = np.isfinite(plain) & (plain > 0) & (pattern > 0)
    assert known.sum() > 300
    ratio = pattern[known] / plain[known]
    apart = np.abs(ratio / np.median(ratio) - 1)
    # Pixels are split among bins by the one and given whole to the nearest by the other.
    assert np.percentile(apart, 50) < 0.02
    assert np.percentile(apart, 90) < 0.10
    # The intensity falls by decades: agreement is not that of two flat lines.
    assert pattern[known].max() / np.median(pattern[known]) > 20
