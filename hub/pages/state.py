"""The state of the form in an address or a form's fields, and the launch request it stands for.

Addresses are the state: the same names in the query of a link, in the form for a new session and
in what it posts. Reading is lenient about what is missing (the server fills in defaults) and
strict about what is there (`parse_request` validates the result).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.launch.models import LaunchRequest
from hub.launch.refusing import parse_request
from templates.catalogue import Library
from templates.models import ParameterType

NO_TEMPLATE = "none"
OWN_SIZE = "own"
"""The form's word for a size of one's own, in place of a size of the profile."""

_GIB = 1024
_GIB_PER_CPU = 2
"""Memory of a size of one's own that says nothing of it."""

_KINDS = ("dataset", "investigation", "doi")
_MAX_DIGITS = 12
_SCALARS = ("interface", "profile", "place", "payer", "display_name")
_PLACING = {"profile", "place", "interface", "size"}
_SCHEDULING = ("account", "qos", "reservation")


@dataclass(frozen=True, slots=True)
class FormState:
    """Fields as they came; the last value of a name counts, but for ``input``."""

    fields: tuple[tuple[str, str], ...]

    def one(self, name: str) -> str:
        """Value of a field, or an empty string."""
        return next((value for key, value in reversed(self.fields) if key == name), "")

    def given(self, name: str) -> str:
        """Last value of a field that is not empty: a number typed beside buttons goes before them."""
        return next((value for key, value in reversed(self.fields) if key == name and value), "")

    def without_numbers(self) -> FormState:
        """The same without what a person types in numbers or names a scheduler knows."""
        return FormState(tuple((key, value) for key, value in self.fields if key in _PLACING))

    @property
    def inputs(self) -> tuple[dict[str, str], ...] | None:
        """Data asked for; empty for none, None where nothing was said."""
        given = [value for key, value in self.fields if key == "input"]
        named = [f"{key}:{value}" for key, value in self.fields if key in _KINDS]
        if not given and not named:
            return None
        parts = [value.partition(":") for value in (*given[-16:], *named) if value]
        return tuple({"kind": kind, "ref": ref} for kind, _, ref in parts)

    @property
    def parameters(self) -> dict[str, str]:
        """Values typed for the template's parameters; empty ones take the default."""
        return {key[2:]: value for key, value in self.fields if key.startswith("p.") and value != ""}


def state_of(arguments: Mapping[str, Sequence[bytes]]) -> FormState:
    """State of a query or of a form's body."""
    fields = [
        (name, value.decode("utf-8", "replace"))
        for name, values in arguments.items()
        if not name.startswith("_")
        for value in values
    ]
    return FormState(tuple(fields[:200]))


def to_request(state: FormState, library: Library) -> LaunchRequest:
    """The launch request of a form.

    Raises
    ------
    RequestError
        ``invalid_request`` if what was given cannot be one.
    """
    raw: dict[str, Any] = {name: state.one(name) for name in _SCALARS if state.one(name)}
    raw["inputs"] = list(state.inputs or ())
    if overflow := state.one("overflow"):
        raw["overflow"] = True if overflow == "true" else overflow
    template = state.one("template")
    if template and template != NO_TEMPLATE:
        raw["template"] = template
    size, own = state.one("size"), _resources(state)
    if size == OWN_SIZE or (own and not size):
        raw["resources"] = {"cpus": 1, **own}
        raw["resources"].setdefault("memory_mib", _default_memory(raw["resources"]["cpus"]))
    elif size:
        raw["size"] = size
    scheduling = {name: state.one(name) for name in _SCHEDULING if state.one(name)}
    if scheduling:
        raw["scheduling"] = scheduling
    if state.one("hours"):
        raw["walltime_s"] = _scaled(state.one("hours"), 3600)
    elif state.one("walltime_s"):
        raw["walltime_s"] = _whole(state.one("walltime_s"))
    raw["parameters"] = _typed(state.parameters, raw.get("template"), library)
    return parse_request(raw)


def _resources(state: FormState) -> dict[str, Any]:
    """What is said of a size of one's own; what cannot be a number stays as it is, to be refused."""
    found: dict[str, Any] = {}
    for name in ("cpus", "gpus"):
        if state.given(name):
            found[name] = _whole(state.given(name))
    if state.given("memory_gib"):
        found["memory_mib"] = _scaled(state.given("memory_gib"), _GIB)
    if state.one("gpu_type") and found.setdefault("gpus", 1) != 0:
        found["gpu_type"] = state.one("gpu_type")
    return found


def _default_memory(cpus: Any) -> int:
    return max(1, cpus) * _GIB_PER_CPU * _GIB if isinstance(cpus, int) else _GIB


def _whole(text: str) -> int | str:
    is_number = text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS
    return int(text) if is_number else text


def _scaled(text: str, factor: int) -> int | str:
    """A number that people may write with a point, in the unit of the request."""
    try:
        value = float(text) if text.isascii() and len(text) < _MAX_DIGITS else math.nan
    except ValueError:
        return text
    return round(value * factor) if math.isfinite(value) else text


def _typed(values: Mapping[str, str], template: str | None, library: Library) -> dict[str, Any]:
    """Form fields are text; the template says which of them are numbers."""
    found = library.get(template) if template else None
    if found is None:
        # Parameters belong to the template that was shown; another choice drops them.
        return {}
    rules = found.spec.parameters
    return {name: _value(rules[name].type, text) for name, text in values.items() if name in rules}


def _value(kind: ParameterType, text: str) -> Any:
    try:
        match kind:
            case ParameterType.INTEGER:
                return int(text)
            case ParameterType.NUMBER:
                return float(text)
            case ParameterType.BOOLEAN if text in {"true", "false"}:
                return text == "true"
    except ValueError:
        pass
    return text


def fields_of(request: LaunchRequest) -> tuple[tuple[str, str], ...]:
    """Form fields of a request, for a hidden form or a link that pre-fills."""
    fields = [("input", f"{one.kind.value}:{one.ref}") for one in request.inputs] or [("input", "")]
    fields.append(("template", request.template or NO_TEMPLATE))
    for name in ("profile", "place", "display_name"):
        value = getattr(request, name)
        if value is not None:
            fields.append((name, value))
    if request.overflow:
        fields.append(("overflow", "true"))
    fields += _size_fields(request)
    for name in _SCHEDULING:
        value = getattr(request.scheduling, name)
        if value is not None:
            fields.append((name, value))
    fields += [("interface", request.interface.value), ("payer", request.payer)]
    if request.walltime_s is not None:
        fields.append(("walltime_s", str(request.walltime_s)))
    for name, value in request.parameters.items():
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            fields.append((f"p.{name}", text))
    return tuple(fields)


def _size_fields(request: LaunchRequest) -> list[tuple[str, str]]:
    own = request.resources
    if own is None:
        return [] if request.size is None else [("size", request.size)]
    fields = [
        ("size", OWN_SIZE),
        ("cpus", str(own.cpus)),
        ("memory_gib", f"{own.memory_mib / _GIB:.4f}".rstrip("0").rstrip(".")),
        ("gpus", str(own.gpus)),
    ]
    return fields if own.gpu_type is None else [*fields, ("gpu_type", own.gpu_type)]
