"""Which values does a template run with, and where does each come from?

A value is the person's, or one found in the data (`bind`), or the template's default, in this order. What
a person gives is checked against the sidecar, closed: an unknown name, a wrong type or a number out of range
is an error with a name and a sentence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from templates.catalogue import Template
from templates.facts import FileFacts
from templates.matching import find_role
from templates.models import Parameter, ParameterType, Scalar
from templates.units import UnitError, convert

_SLICE = re.compile(r"-?\d{0,9}:-?\d{0,9}(?::[1-9]\d{0,8})?")

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

_BIND = re.compile(r"nexus:(\w+)(?:\|convert\((\w+)\))?")


class Source(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    METADATA = "metadata"
    USER = "user"


class ParameterError(ValueError):
    """A value that cannot be used. ``sentence`` is for the person who gave it."""

    def __init__(self, name: str, sentence: str) -> None:
        self.name = name
        self.sentence = sentence
        super().__init__(f"{name}: {sentence}")


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """The data set as the session sees it.

    ``path`` is the data set's path (file or folder), ``output_dir`` the processed folder to write to.
    """

    path: PurePosixPath
    name: str
    output_dir: PurePosixPath

    @property
    def file_name(self) -> str:
        """Name of the data set that can be part of a file's name."""
        return _UNSAFE.sub("_", self.name).strip("._")[:100] or "dataset"


@dataclass(frozen=True, slots=True)
class Effective:
    """One value with its source."""

    value: Scalar
    source: Source


def validate(template: Template, given: Mapping[str, Any]) -> dict[str, Scalar]:
    """Check what a person gave.

    Raises
    ------
    ParameterError
        For the first value that cannot be used.
    """
    rules = template.spec.parameters
    for name in given:
        if name not in rules:
            known = ", ".join(key for key, rule in rules.items() if not rule.read_only)
            raise ParameterError(name, f"This template has no such parameter; it has {known or 'none'}.")
        if rules[name].read_only:
            raise ParameterError(name, "This is filled in from the data set and cannot be set.")
    return {name: check(name, rules[name], value) for name, value in given.items()}


def check(name: str, rule: Parameter, value: Any) -> Scalar:
    """Check one value; a whole number is taken where a number is asked for.

    Raises
    ------
    ParameterError
        If it is of another type, out of range or of another form.
    """
    if value is None:
        if rule.nullable:
            return None
        raise ParameterError(name, "A value is needed.")
    checked = _typed(name, rule, value)
    if rule.enum is not None and checked not in rule.enum:
        raise ParameterError(name, f"Choose one of {', '.join(str(choice) for choice in rule.enum)}.")
    if isinstance(checked, str):
        _check_text(name, rule, checked)
    elif not isinstance(checked, bool):
        _check_range(name, rule, checked)
    return checked


def effective(
    template: Template,
    user: Mapping[str, Any],
    dataset: DatasetRef,
    facts: FileFacts | None = None,
) -> dict[str, Effective]:
    """All values that a run uses, in the order of the sidecar.

    A value found in the file that the template could not take (unit unknown, out of range) is left at
    the default; the notebook reads the file itself and says what is wrong with it.

    Raises
    ------
    ParameterError
        If a value given by the person cannot be used.
    """
    given = validate(template, user)
    values = {}
    for name, rule in template.spec.parameters.items():
        if name in given:
            values[name] = Effective(given[name], Source.USER)
        elif (bound := _bound(template, name, rule, dataset, facts)) is not None:
            values[name] = Effective(bound, Source.METADATA)
        else:
            values[name] = Effective(rule.default, Source.DEFAULT)
    return values


def _bound(
    template: Template, name: str, rule: Parameter, dataset: DatasetRef, facts: FileFacts | None
) -> Scalar:
    if rule.bind is None:
        return None
    if rule.bind == "dataset.path":
        return str(dataset.path / facts.file) if facts is not None else str(dataset.path)
    if rule.bind.startswith("output."):
        output = next(o for o in template.spec.outputs if o.name == rule.bind.removeprefix("output."))
        return output.path.format(output_dir=dataset.output_dir, dataset=dataset.file_name)
    return _from_file(template, name, rule, facts) if facts is not None else None


def _from_file(template: Template, name: str, rule: Parameter, facts: FileFacts) -> Scalar:
    parts = _BIND.fullmatch(rule.bind or "")
    assert parts is not None
    role, unit = parts.groups()
    needs = [need for spec in template.spec.inputs for need in spec.match.require if need.role == role]
    item = find_role(facts, needs[0])
    if item is None or item.value is None:
        return None
    try:
        value = convert(float(item.value), item.units, unit) if unit else item.value
        return check(name, rule, value)
    except (UnitError, ParameterError, ValueError):
        return None


def _typed(name: str, rule: Parameter, value: Any) -> bool | int | float | str:
    match rule.type, value:
        case ParameterType.BOOLEAN, bool():
            return value
        case ParameterType.STRING, str():
            return value
        case ((ParameterType.INTEGER | ParameterType.NUMBER), bool()):
            pass  # bool is an int to Python, not to a person
        case ParameterType.INTEGER, int():
            return value
        case ParameterType.NUMBER, int() | float() if math.isfinite(value):
            return float(value)
        case _:
            pass
    wanted = {
        ParameterType.BOOLEAN: "true or false",
        ParameterType.STRING: "text",
        ParameterType.INTEGER: "a whole number",
        ParameterType.NUMBER: "a number",
    }[rule.type]
    raise ParameterError(name, f"This has to be {wanted}.")


def _check_text(name: str, rule: Parameter, value: str) -> None:
    if len(value) > rule.max_length:
        raise ParameterError(name, f"At most {rule.max_length} characters.")
    if not value.isprintable():
        raise ParameterError(name, "Line breaks and control characters cannot be used.")
    if rule.pattern is not None and not re.fullmatch(rule.pattern, value):
        raise ParameterError(name, f"This has to have the form {rule.pattern}.")
    if rule.format == "slice" and not _SLICE.fullmatch(value):
        raise ParameterError(name, "Write frames as start:stop or start:stop:step, for instance 0:100:10.")


def _check_range(name: str, rule: Parameter, value: float) -> None:
    unit = f" {rule.unit}" if rule.unit else ""
    if rule.minimum is not None and value < rule.minimum:
        raise ParameterError(name, f"At least {rule.minimum:g}{unit}.")
    if rule.maximum is not None and value > rule.maximum:
        raise ParameterError(name, f"At most {rule.maximum:g}{unit}.")
    if rule.exclusive_minimum is not None and value <= rule.exclusive_minimum:
        raise ParameterError(name, f"More than {rule.exclusive_minimum:g}{unit}.")
    if rule.exclusive_maximum is not None and value >= rule.exclusive_maximum:
        raise ParameterError(name, f"Less than {rule.exclusive_maximum:g}{unit}.")
