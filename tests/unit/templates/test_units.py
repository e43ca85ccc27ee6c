"""Units of lengths, energies and wavelengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates.units import UnitError, convert


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (150.0, "mm", "m", 0.15),
        (0.172, "mm", "um", 172.0),
        (1e-10, "m", "angstrom", 1.0),
        (12.398419843320026, "keV", "angstrom", 1.0),
        (12398.419843320026, "eV", "nm", 0.1),
        (1.0, "Angstrom", "keV", 12.398419843320026),
    ],
)
def test_values_are_converted(value, unit, to, expected):
    assert convert(value, unit, to) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "unit", "to"),
    [(1, None, "m"), (1, "", "m"), (1, "furlong", "m"), (1, "m", "s"), (0, "keV", "angstrom")],
)
def test_what_cannot_be_converted_is_an_error(value, unit, to):
    with pytest.raises(UnitError):
        convert(value, unit, to)


@given(st.floats(1e-3, 1e3))
def test_energy_to_wavelength_and_back_is_the_same(energy):
    assert convert(convert(energy, "keV", "angstrom"), "angstrom", "keV") == pytest.approx(energy)
