"""Azimuthal integration of a series, its peaks, and how good it is.

Frames (n, ny, nx) [counts] become patterns I(2θ) or I(q) (n, npt) with their standard errors, by
pyFAI's compiled sparse matrix with full pixel splitting. Peaks are fitted by a Gaussian on a line and
compared with a calibrant's tabulated spacings by Bragg's law, λ = 2 d sin θ.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from azimuthal_input import AnalysisError, Series
from pyFAI.calibrant import ALL_CALIBRANTS, get_calibrant
from pyFAI.containers import Integrate1dResult
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.signal import find_peaks

SECTORS = 36  # of 10°, for the azimuthal non-uniformity

WINDOW_DEG = 0.45  # largest half width of a fit, below half the distance of LaB6 lines at 100 keV

LEAST_POINTS = 7  # a Gaussian on a line has five unknowns

LIMITS = {
    "masked_percent": ("<30", "<60"),
    "saturated_percent": ("<0.01", "<0.1"),
    "frame_cv_percent": ("<5", "<15"),
    "azimuthal_nonuniformity_percent": ("<5", "<20"),
    "ring_residual_deg": ("<0.01", "<0.05"),
}
"""For each indicator the limits of *pass* and *warn*, as template.yaml has them; beyond is *fail*."""


STANDARDS = {"lab6": "LaB6_SRM660c", "ceo2": "CeO2", "agbh": "AgBh", "agbeh": "AgBh"}
"""Samples measured for calibration, by the start of their name, and pyFAI's calibrant for them."""


@dataclass(frozen=True)
class Peaks:
    """Fitted lines. Angles (m,) in degrees of 2θ; table values and hkl are empty without a calibrant."""

    two_theta_deg: np.ndarray
    error_deg: np.ndarray
    table_two_theta_deg: np.ndarray
    hkl: tuple[str, ...]

    @property
    def residual_deg(self) -> np.ndarray:
        """Fitted minus tabulated position."""
        return self.two_theta_deg[: len(self.table_two_theta_deg)] - self.table_two_theta_deg


@dataclass(frozen=True)
class Indicator:
    """One number about the quality of a result, with its verdict pass, warn or fail."""

    name: str
    value: float
    unit: str
    verdict: str


@dataclass(frozen=True)
class Reduction:
    """Patterns of all frames and their mean.

    ``radial`` (npt,) in ``unit``; ``intensity`` and ``error`` (n, npt) and ``mean``, ``mean_error`` (npt,)
    in counts per solid angle; ``sum_image`` and its variance (ny, nx) [counts]; ``totals`` (n,) [counts].
    """

    results: list[Integrate1dResult]
    sum_image: np.ndarray
    sum_variance: np.ndarray
    totals: np.ndarray
    mean: np.ndarray
    mean_error: np.ndarray
    saturated_percent: float
    wavelength: float
    unit: str

    @property
    def radial(self) -> np.ndarray:
        """Radial axis (npt,)."""
        return self.results[0].radial

    @property
    def two_theta_deg(self) -> np.ndarray:
        """Radial axis (npt,) in degrees; q = 4π sin(θ) / λ."""
        if self.unit == "2th_deg":
            return self.radial
        return 2 * np.rad2deg(np.arcsin(np.clip(self.radial * self.wavelength * 1e10 / 4 / np.pi, -1, 1)))

    @property
    def intensity(self) -> np.ndarray:
        """Patterns (n, npt)."""
        return np.stack([result.intensity for result in self.results])

    @property
    def error(self) -> np.ndarray:
        """Standard errors (n, npt)."""
        return np.stack([result.sem for result in self.results])


def integrate(
    series: Series,
    integrator: AzimuthalIntegrator,
    *,
    npt: int = 1000,
    unit: str = "2th_deg",
    polarization_factor: float | None = None,
    radial_range: tuple[float, float] | None = None,
) -> Reduction:
    """Integrate each frame of a series.

    Pixels of one frame without a count are left out for this frame only.

    Raises
    ------
    AnalysisError
        If a frame has no pixel that counts.
    """
    results, totals, saturated = [], [], 0
    sum_image, sum_variance = np.zeros((2, *series.shape[1:]))
    for number, (frame, variance) in enumerate(series.frames()):
        is_used = np.isfinite(frame) & ~series.mask
        if not is_used.any():
            raise AnalysisError(f"frame {series.selection[number]}: every pixel is masked or has no value")
        used = np.where(is_used, frame, 0)
        if series.saturation is not None:
            saturated += int((used >= series.saturation).sum())
        totals.append(float(used.sum(dtype=np.float64)) / series.normalisation(number))
        sum_image += used
        sum_variance += np.where(is_used, variance, 0)
        results.append(
            integrator.integrate1d_ng(
                frame,
                npt,
                unit=unit,
                mask=series.mask,
                variance=variance,
                polarization_factor=polarization_factor,
                radial_range=radial_range,
                normalization_factor=series.normalisation(number),
                method=("full", "csr", "cython"),
            )
        )
    used_pixels = len(results) * int((~series.mask).sum())
    return Reduction(
        results=results,
        sum_image=sum_image,
        sum_variance=sum_variance,
        totals=np.array(totals),
        mean=np.mean([r.intensity for r in results], axis=0),
        mean_error=np.sqrt(np.sum([r.sem.astype(float) ** 2 for r in results], axis=0)) / len(results),
        saturated_percent=100 * saturated / used_pixels,
        wavelength=integrator.wavelength,
        unit=unit,
    )


def find_lines(reduction: Reduction, calibrant: str = "") -> Peaks:
    """Fit the lines of the mean pattern.

    With a calibrant each of its lines inside the pattern is fitted; without, the twenty most prominent
    peaks.

    Raises
    ------
    AnalysisError
        If pyFAI does not know the calibrant, or none of its lines can be fitted.
    """
    angle, pattern, error = _usable(reduction)
    if calibrant:
        table, hkl = _table(calibrant, reduction.wavelength, angle)
    else:
        found, facts = find_peaks(pattern, prominence=10 * np.median(error))
        best = found[np.argsort(facts["prominences"])[::-1][:20]]
        table, hkl = angle[np.sort(best)], ()
    lines = [_fit(angle, pattern, error, at, _window(table, i)) for i, at in enumerate(table)]
    kept = [i for i, line in enumerate(lines) if line is not None]
    if calibrant and not kept:
        raise AnalysisError(
            f"no line of {calibrant} could be fitted: is the wavelength or the distance wrong?"
        )
    return Peaks(
        two_theta_deg=np.array([lines[i][0] for i in kept]),
        error_deg=np.array([lines[i][1] for i in kept]),
        table_two_theta_deg=np.array([table[i] for i in kept] if calibrant else []),
        hkl=tuple(hkl[i] for i in kept) if calibrant else (),
    )


def calibrant_of(sample: str) -> str:
    """Calibrant that a sample of this name is, or empty: other materials are compared only when asked."""
    name = sample.strip().lower()
    return next((calibrant for start, calibrant in STANDARDS.items() if name.startswith(start)), "")


def indicators(
    series: Series, reduction: Reduction, integrator: AzimuthalIntegrator, peaks: Peaks
) -> list[Indicator]:
    """The quality table."""
    totals = reduction.totals
    values = {
        "masked_percent": (100 * float(series.mask.mean()), "%"),
        "saturated_percent": (reduction.saturated_percent, "%"),
        "frame_cv_percent": (100 * float(totals.std() / totals.mean()) if totals.mean() > 0 else np.nan, "%"),
        "azimuthal_nonuniformity_percent": (nonuniformity(series, reduction, integrator), "%"),
    }
    if len(peaks.residual_deg):
        values["ring_residual_deg"] = (float(np.abs(peaks.residual_deg).max()), "°")
    return [Indicator(name, value, unit, verdict(name, value)) for name, (value, unit) in values.items()]


def verdict(name: str, value: float) -> str:
    """Verdict of an indicator by `LIMITS`; a value that is no number fails."""
    for word, limit in zip(("pass", "warn"), LIMITS[name], strict=True):
        if value < float(limit.removeprefix("<")):
            return word
    return "fail"


def nonuniformity(series: Series, reduction: Reduction, integrator: AzimuthalIntegrator) -> float:
    """Variation along the azimuth beyond counting statistics, median over the radius [%].

    Sectors s of 10° give I_s ± σ_s at each radius; the excess is √max(0, var(I_s) − mean(σ_s²)) / mean(I_s).
    Texture, grains, shadows and a wrong beam centre show here.
    """
    cake = integrator.integrate2d_ng(
        reduction.sum_image,
        min(200, len(reduction.radial)),
        SECTORS,
        mask=series.mask,
        variance=reduction.sum_variance,
        unit=reduction.unit,
        method=("full", "csr", "cython"),
    )
    intensity, count = np.asarray(cake.intensity, float), np.asarray(cake.count)
    sectors = np.where(count > 1, intensity, np.nan)
    errors = np.where(count > 1, np.asarray(cake.sem, float), np.nan)
    enough = np.isfinite(sectors).sum(axis=0) >= SECTORS // 4
    if not enough.any():
        return float("nan")
    mean = np.nanmean(sectors[:, enough], axis=0)
    excess = np.nanvar(sectors[:, enough], axis=0, ddof=1) - np.nanmean(errors[:, enough] ** 2, axis=0)
    return 100 * float(np.median(np.sqrt(np.clip(excess, 0, None)) / np.where(mean > 0, mean, np.nan)))


def _usable(reduction: Reduction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angle, mean pattern and error of the bins that any pixel contributes to."""
    seen = (np.asarray(reduction.results[0].count) > 0) & (reduction.mean_error > 0)
    if seen.sum() < LEAST_POINTS:
        raise AnalysisError("the pattern has no counts")
    return reduction.two_theta_deg[seen], reduction.mean[seen], reduction.mean_error[seen]


def _table(calibrant: str, wavelength: float, angle: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Positions [degrees of 2θ] and hkl of a calibrant's lines that lie well inside the pattern."""
    if calibrant not in ALL_CALIBRANTS:
        raise AnalysisError(
            f"pyFAI knows no calibrant {calibrant}; it knows {', '.join(sorted(ALL_CALIBRANTS))}"
        )
    reference = get_calibrant(calibrant, wavelength=wavelength)
    # `dspacing` leaves out what this wavelength cannot reach; the reflections with their hkl are all there.
    spacings = np.array([line.dspacing for line in reference.config.reflections])
    possible = wavelength * 1e10 / 2 / spacings < 1
    table = 2 * np.rad2deg(np.arcsin(wavelength * 1e10 / 2 / spacings[possible]))
    margin = 3 * float(np.median(np.diff(angle)))
    inside = (table > angle[0] + margin) & (table < angle[-1] - margin)
    lines = [
        line for line, is_possible in zip(reference.config.reflections, possible, strict=True) if is_possible
    ]
    names = [
        " ".join(str(index) for index in line.hkl) if line.hkl else f"line {i + 1}"
        for i, line in enumerate(lines)
    ]
    return table[inside], tuple(name for name, is_in in zip(names, inside, strict=True) if is_in)


def _window(table: np.ndarray, index: int) -> float:
    """Half width of a fit [degrees]: less than half the way to the next line."""
    distances = np.abs(np.delete(table, index) - table[index])
    return min(WINDOW_DEG, 0.45 * float(distances.min())) if len(distances) else WINDOW_DEG


def _fit(
    angle: np.ndarray, pattern: np.ndarray, error: np.ndarray, at: float, window: float
) -> tuple[float, float] | None:
    """Position of one line and its error [degrees], or None if there is no line."""
    near = np.abs(angle - at) <= window
    x, y, sigma = angle[near], pattern[near], error[near]
    if len(x) < LEAST_POINTS:
        return None
    base, top = float(np.median(y)), int(np.argmax(y))
    width = max(float(np.median(np.diff(x))), window / 6)
    start = (float(y[top]) - base, float(x[top]) - at, width, base, 0.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # then the covariance is infinite: no line
            best, covariance = curve_fit(_gaussian, x - at, y, p0=start, sigma=sigma, absolute_sigma=True)
    except RuntimeError:
        return None
    height, centre, width = float(best[0]), float(best[1]), abs(float(best[2]))
    height_error, centre_error = np.sqrt(np.diag(covariance))[:2]
    is_clear = height > 5 * max(float(height_error), float(np.median(sigma)))
    is_inside = abs(centre) <= window / 2 and width <= window / 2
    return (at + centre, float(centre_error)) if is_clear and is_inside else None


def _gaussian(
    x: np.ndarray, height: float, centre: float, width: float, base: float, slope: float
) -> np.ndarray:
    return height * np.exp(-((x - centre) ** 2) / (2 * width**2)) + base + slope * x
