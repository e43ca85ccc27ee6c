"""What does a notebook's parameters cell assign?

Read by `ast` and `tokenize`, never by pattern: values and comments may hold any sign, and types may be
unions. One line a parameter: ``name: type = default  # [unit] what it is``.
"""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass

from templates.models import Scalar


class CellError(ValueError):
    """A parameters cell holds something else than annotated assignments of literals."""


@dataclass(frozen=True, slots=True)
class CellParameter:
    """One assignment of the cell."""

    name: str
    annotation: str
    default: Scalar
    comment: str


def read_parameters(source: str) -> tuple[CellParameter, ...]:
    """Parameters that a cell assigns, in order.

    Raises
    ------
    CellError
        If the cell does not parse, or a statement is not ``name: type = literal``.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise CellError(f"line {error.lineno}: {error.msg}") from error
    comments = _comments(source)
    return tuple(_parameter(statement, comments) for statement in tree.body)


def write_parameters(cell: tuple[CellParameter, ...], values: dict[str, Scalar]) -> str:
    """Source of the cell with values filled in.

    A value enters as the literal of a checked JSON scalar, so no text of a person is ever code.
    """
    lines = []
    for parameter in cell:
        value = values.get(parameter.name, parameter.default)
        if value is not None and type(value) not in (bool, int, float, str):
            raise TypeError(f"{parameter.name}: {type(value).__name__} is not a JSON scalar")
        comment = f"  # {parameter.comment}" if parameter.comment else ""
        lines.append(f"{parameter.name}: {parameter.annotation} = {value!r}{comment}")
    return "\n".join(lines)


def _parameter(statement: ast.stmt, comments: dict[int, str]) -> CellParameter:
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
        raise CellError(f"line {statement.lineno}: expected `name: type = default`")
    name = statement.target.id
    if statement.value is None:
        raise CellError(f"line {statement.lineno}: {name} has no default")
    try:
        default = ast.literal_eval(statement.value)
    except ValueError as error:
        raise CellError(f"line {statement.lineno}: the default of {name} is not a literal") from error
    if default is not None and type(default) not in (bool, int, float, str):
        raise CellError(f"line {statement.lineno}: the default of {name} is not a JSON scalar")
    comment = comments.get(statement.end_lineno or statement.lineno, "")
    return CellParameter(name, ast.unparse(statement.annotation), default, comment)


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").rstrip() for t in tokens if t.type == tokenize.COMMENT}
