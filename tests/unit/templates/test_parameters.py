"""Values of parameters: checked, bound, with their source."""

from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates.catalogue import Library
from templates.facts import FileFacts, Item
from templates.parameters import DatasetRef, ParameterError, Source, effective, validate

SAXS = Library.load().get("saxs-azimuthal-integration")
DATASET = DatasetRef(
    PurePosixPath("/data/hc-1/raw/scan"), "Lab 6/../scan", PurePosixPath("/data/hc-1/processed")
)
ENERGY = Item("/entry/energy", "NXentry", (), "<f8", "keV", 12.398419843320026)


@pytest.mark.parametrize(
    ("given", "name", "sentence"),
    [
        ({"nonsense": 1}, "nonsense", "no such parameter"),
        ({"input_file": "/etc/passwd"}, "input_file", "cannot be set"),
        ({"output_file": "/tmp/x"}, "output_file", "cannot be set"),
        ({"npt": "many"}, "npt", "a whole number"),
        ({"npt": 1000.5}, "npt", "a whole number"),
        ({"npt": True}, "npt", "a whole number"),
        ({"npt": None}, "npt", "needed"),
        ({"npt": 49}, "npt", "At least 50"),
        ({"npt": 20001}, "npt", "At most 20000"),
        ({"distance": 0}, "distance", "More than 0 m"),
        ({"distance": float("nan")}, "distance", "a number"),
        ({"distance": float("inf")}, "distance", "a number"),
        ({"distance": [1]}, "distance", "a number"),
        ({"unit": "q_nm^-1"}, "unit", "Choose one of"),
        ({"frames": "all"}, "frames", "start:stop"),
        ({"frames": "0:10:0"}, "frames", "start:stop"),
        ({"mask_file": "a\nb"}, "mask_file", "Line breaks"),
        ({"mask_file": "x" * 501}, "mask_file", "At most 500"),
        ({"entry": "a b"}, "entry", "form"),
    ],
)
def test_what_cannot_be_used_is_refused_with_name_and_sentence(given, name, sentence):
    with pytest.raises(ParameterError) as error:
        validate(SAXS, given)
    assert error.value.name == name
    assert sentence in error.value.sentence


def test_good_values_pass_and_a_whole_number_is_a_number():
    values = validate(SAXS, {"distance": 1, "npt": 500, "frames": "0:10:2", "wavelength": None})
    assert values == {"distance": 1.0, "npt": 500, "frames": "0:10:2", "wavelength": None}
    assert type(values["distance"]) is float


def test_the_person_comes_before_the_file_and_the_file_before_the_default():
    detector = Item("/entry/d/distance", "NXdetector", (), "<f8", "mm", 150.0)
    values = effective(SAXS, {"npt": 200}, DATASET, FileFacts(file="scan.h5", items=(ENERGY, detector)))
    assert values["npt"].source is Source.USER
    assert (values["distance"].value, values["distance"].source) == (pytest.approx(0.15), Source.METADATA)
    assert values["wavelength"].value == pytest.approx(1.0)
    assert (values["frames"].value, values["frames"].source) == (":", Source.DEFAULT)
    assert values["input_file"].value == "/data/hc-1/raw/scan/scan.h5"
    assert effective(SAXS, {"distance": 2}, DATASET, FileFacts(items=(detector,)))["distance"].value == 2.0


@pytest.mark.parametrize("units", [None, "furlong", "m"])
def test_a_value_that_cannot_be_used_is_left_to_the_notebook(units):
    values = effective(SAXS, {}, DATASET, FileFacts(items=(replace(ENERGY, units=units),)))
    assert (values["wavelength"].value, values["wavelength"].source) == (None, Source.DEFAULT)


@given(st.text(min_size=1))
def test_the_result_file_stays_in_the_processed_folder(name):
    dataset = replace(DATASET, name=name)
    output = PurePosixPath(str(effective(SAXS, {}, dataset)["output_file"].value))
    assert output.parent == DATASET.output_dir
    assert ".." not in output.parts


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(st.sampled_from(list(SAXS.spec.parameters)), ANYTHING)
def test_any_value_is_taken_or_refused_by_name(name, value):
    with suppress(ParameterError):
        assert validate(SAXS, {name: value}) == {name: value}
