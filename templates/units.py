"""Which units can a value of a data file be turned into?

Lengths, and the photon energies and wavelengths that stand for each other: λ = hc / E with
hc = 12.398419843320026 keV Å (exact in the SI of 2019).
"""

from __future__ import annotations

from collections.abc import Mapping

_LENGTH_M: Mapping[str, float] = {
    "m": 1.0,
    "metre": 1.0,
    "meter": 1.0,
    "metres": 1.0,
    "meters": 1.0,
    "cm": 1e-2,
    "mm": 1e-3,
    "um": 1e-6,
    "µm": 1e-6,
    "μm": 1e-6,
    "micron": 1e-6,
    "nm": 1e-9,
    "pm": 1e-12,
    "angstrom": 1e-10,
    "angstroms": 1e-10,
    "å": 1e-10,
    "a": 1e-10,
}

_ENERGY_KEV: Mapping[str, float] = {"ev": 1e-3, "kev": 1.0, "mev": 1e3, "j": 1 / 1.602176634e-16}

_HC_KEV_M = 12.398419843320026e-10

_DIMENSIONS: Mapping[str, Mapping[str, float]] = {"length": _LENGTH_M, "energy": _ENERGY_KEV}


class UnitError(ValueError):
    """A unit is missing, unknown, or of another kind than asked for."""


def dimension(unit: str | None) -> str | None:
    """``length``, ``energy`` or None for anything else."""
    return next((name for name, table in _DIMENSIONS.items() if _key(unit) in table), None)


def convert(value: float, unit: str | None, to: str) -> float:
    """Turn a value from one unit into another; an energy becomes a wavelength and the reverse.

    Raises
    ------
    UnitError
        If a unit is missing or unknown, or the value is not positive where it has to be divided by.
    """
    source, target = dimension(unit), dimension(to)
    if source is None or target is None:
        raise UnitError(f"no unit known as {(unit if source is None else to) or 'nothing'!r}")
    scale = _DIMENSIONS[target][_key(to)]
    base = value * _DIMENSIONS[source][_key(unit)]
    if source == target:
        return base / scale
    if base <= 0:
        raise UnitError(f"{value} {unit} is not the {source} of a photon")
    return _HC_KEV_M / base / scale


def _key(unit: str | None) -> str:
    return (unit or "").strip().lower()
