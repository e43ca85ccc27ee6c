"""The parameters cell, read by ast and tokenize."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates.cell import CellError, CellParameter, read_parameters, write_parameters

SOURCE = """npt: int = 1000  # [bins] points
label: str = "x # y = z"  # a # in = the value
mask: str | None = None
scale: float = -1.5  # sign"""


def test_values_and_comments_with_any_sign_are_read():
    assert read_parameters(SOURCE) == (
        CellParameter("npt", "int", 1000, "[bins] points"),
        CellParameter("label", "str", "x # y = z", "a # in = the value"),
        CellParameter("mask", "str | None", None, ""),
        CellParameter("scale", "float", -1.5, "sign"),
    )


@pytest.mark.parametrize(
    "source",
    ["npt = 1", "npt: int", "import os", "npt: int = f(1)", "a: str = [1]", "a: int = (", "a.b: int = 1"],
)
def test_anything_else_than_annotated_literals_is_refused(source):
    with pytest.raises(CellError):
        read_parameters(source)


@given(
    st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
)
def test_no_value_is_ever_code(value):
    cell = (CellParameter("a", "str", "", "comment"), CellParameter("b", "int", 1, ""))
    written = write_parameters(cell, {"a": value})
    tree = ast.parse(written.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    assert len(tree.body) == 2
    assert read_parameters(written)[0].default == value


def test_a_value_that_is_no_scalar_is_refused():
    with pytest.raises(TypeError):
        write_parameters((CellParameter("a", "str", "", ""),), {"a": ["x"]})
