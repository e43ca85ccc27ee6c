# %% [markdown]
# # Azimuthal integration of a 2D series
#
# Turns a series of detector images into patterns of intensity over 2θ or q, with errors, by pyFAI.
#
# - **For**: SAXS, WAXS and powder diffraction with a flat area detector normal to the beam, or any geometry
#   given as a `.poni` file. **Not for** tomography, single crystals, or grazing incidence corrections.
# - **Input**: a NeXus file with an NXdetector (`data`, `distance`, pixel sizes, beam centre) and a wavelength
#   or energy, each with its unit.
# - **Output**: an NXazint1d file in the processed folder of the investigation, with all parameters, versions
#   and quality indicators. A second run replaces it.
#
# Change the values in the next cell and run all cells.

# %% tags=["parameters"]
input_file: str = "data.nxs"  # [path] NeXus file with the frames
output_file: str = "data_azint.nxs"  # [path] result file
entry: str = ""  # entry of the file; empty takes the first that has frames
distance: float | None = None  # [m] sample to detector; None takes what the file says
wavelength: float | None = None  # [angstrom] None takes what the file says
poni_file: str = ""  # [path] geometry by pyFAI instead of the file's; empty for none
mask_file: str = ""  # [path] image, pixels other than 0 are left out; empty for none
frames: str = ":"  # frames that take part, as start:stop:step
npt: int = 1000  # [bins] points of a pattern
unit: str = "2th_deg"  # radial axis, 2th_deg or q_A^-1
polarization_factor: float | None = None  # 1 is horizontal, -1 vertical; None corrects nothing
normalise_by: str = ""  # monitor of the file to divide by; empty for none
calibrant: str = "auto"  # calibrant to compare the lines with; auto goes by the sample, empty is none

# %%
import logging

logging.getLogger("silx").setLevel(logging.ERROR)  # it looks for OpenCL, which is not needed here
logging.getLogger("pyFAI").setLevel(logging.ERROR)

import matplotlib.pyplot as plt
import numpy as np
from azimuthal import calibrant_of, find_lines, indicators, integrate
from azimuthal_input import open_series, read_geometry, read_poni
from azimuthal_output import Run
from IPython import get_ipython
from matplotlib.colors import LogNorm

run = Run(
    {
        "input_file": input_file,
        "output_file": output_file,
        "entry": entry,
        "distance": distance,
        "wavelength": wavelength,
        "poni_file": poni_file,
        "mask_file": mask_file,
        "frames": frames,
        "npt": npt,
        "unit": unit,
        "polarization_factor": polarization_factor,
        "normalise_by": normalise_by,
        "calibrant": calibrant,
    }
)
run.watch(get_ipython())

# %%
series = open_series(input_file, entry=entry, frames=frames, normalise_by=normalise_by, mask_file=mask_file)
if poni_file:
    integrator = read_poni(poni_file)
else:
    integrator = read_geometry(input_file, entry=entry, distance=distance, wavelength=wavelength).integrator()
print(f"{len(series.selection)} of {series.shape[0]} frames of {series.shape[1]} × {series.shape[2]} pixels")
print(f"distance {integrator.dist:.4f} m, wavelength {integrator.wavelength * 1e10:.5f} Å")

# %%
reduction = integrate(series, integrator, npt=npt, unit=unit, polarization_factor=polarization_factor)
axis_label = "2θ (°)" if unit == "2th_deg" else "q (Å⁻¹)"

figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
shown = np.where(series.mask | (reduction.sum_image <= 0), np.nan, reduction.sum_image)
image = axes.imshow(shown, norm=LogNorm(), origin="lower", cmap="viridis")
axes.set(xlabel="x (pixel)", ylabel="y (pixel)", title="Sum of the frames")
figure.colorbar(image, label="counts")
plt.show()

# %%
figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
extent = (reduction.radial[0], reduction.radial[-1], -0.5, len(reduction.intensity) - 0.5)
waterfall = axes.imshow(reduction.intensity, aspect="auto", origin="lower", extent=extent, cmap="viridis")
axes.set(xlabel=axis_label, ylabel="frame of the selection", title="All patterns")
figure.colorbar(waterfall, label="intensity (arb. units)")
plt.show()

# %%
standard = calibrant_of(series.sample) if calibrant == "auto" else calibrant
peaks = find_lines(reduction, standard)

figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
axes.plot(reduction.radial, reduction.mean, lw=1, label="mean of the frames")
axes.fill_between(
    reduction.radial, reduction.mean - reduction.mean_error, reduction.mean + reduction.mean_error, alpha=0.3
)
for number, line in enumerate(np.interp(peaks.two_theta_deg, reduction.two_theta_deg, reduction.radial)):
    axes.axvline(line, color="tab:red", lw=0.6, alpha=0.6, label="fitted lines" if number == 0 else None)
axes.set(xlabel=axis_label, ylabel="intensity (arb. units)", title="Mean pattern")
axes.legend()
plt.show()

# %%
for number, position in enumerate(peaks.two_theta_deg):
    table = (
        f"  table {peaks.table_two_theta_deg[number]:9.4f}°  difference {peaks.residual_deg[number]:+.4f}°"
        f"  ({peaks.hkl[number]})"
        if standard
        else ""
    )
    print(f"line at {position:9.4f}° ± {peaks.error_deg[number]:.4f}°{table}")

quality = indicators(series, reduction, integrator, peaks)
print()
for item in quality:
    print(f"{item.verdict:5} {item.name:34} {item.value:10.4f} {item.unit}")

# %%
saved = run.save(series, reduction, peaks, quality)
print(f"Saved {saved}")

# %% tags=["results"]
results = {
    "output_file": str(saved),
    "frames": len(series.selection),
    "lines": len(peaks.two_theta_deg),
    "quality": {item.name: {"value": item.value, "verdict": item.verdict} for item in quality},
}
results

# %% [markdown]
# **Next**: open the result in the file browser (double click shows it in h5web); compare patterns in q by
# setting `unit = "q_A^-1"`; check the geometry with a calibrant's data set by naming it in `calibrant`. The
# method is described at <https://pyfai.readthedocs.io>; please cite doi:10.1107/S1600576715004306.
