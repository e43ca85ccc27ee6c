"""How does a filled-in form become a launch request, and an address again?

The form, the launch link and the links between pages share one *form state*: the arguments listed
in `hub.pages`. Here it is read, written as an address, and turned into a `LaunchRequest`, which
validates it. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from hub.launch.models import InputKind, LaunchRequest, ParameterValue

Arguments = Mapping[str, Sequence[str]]
"""Arguments of a query or a form, decoded, each with its values."""

_PLAIN = ("interface", "profile", "size", "payer", "display_name")
_PARAMETER = "p."
NO_TEMPLATE = "none"


def form_state(arguments: Arguments) -> dict[str, list[str]]:
    """Keep only arguments of the form state, with short forms (``dataset=…``) written out.

    The XSRF token, searches and whatever else is in a request are left out.
    """
    state: dict[str, list[str]] = {}
    inputs = [*arguments.get("input", ())]
    for kind in InputKind:
        inputs += [f"{kind.value}:{ref}" for ref in arguments.get(kind.value, ()) if ref]
    if inputs:
        state["input"] = inputs
    for name in ("template", *_PLAIN, "walltime_s"):
        if value := _last(arguments, name):
            state[name] = [value]
    parameters = (name for name in arguments if name.startswith(_PARAMETER))
    return state | {name: [_last(arguments, name)] for name in sorted(parameters)}


def form_query(state: Arguments) -> str:
    """Write a form state as the query of an address."""
    return urlencode([(name, value) for name, values in state.items() for value in values])


def launch_request(arguments: Arguments, kinds: Mapping[str, str] | None = None) -> LaunchRequest:
    """Build the request that a form state asks for.

    Parameters
    ----------
    arguments
        Form state; a missing template means the best fit, ``none`` no template.
    kinds
        Kind of each parameter of the template (integer, number, boolean; any other is text).

    Raises
    ------
    pydantic.ValidationError
        If it asks for something that no request can say; nothing is silently dropped.
    """
    state = form_state(arguments)
    template = state.get("template", ["auto"])[0]
    raw: dict[str, object] = {name: state[name][0] for name in _PLAIN if name in state}
    raw["inputs"] = [_input(value) for value in state.get("input", ()) if value]
    raw["template"] = None if template == NO_TEMPLATE else template
    raw["parameters"] = _parameters(state, kinds or {})
    if "walltime_s" in state:
        raw["walltime_s"] = _whole_number(state["walltime_s"][0])
    return LaunchRequest.model_validate(raw)


def _last(arguments: Arguments, name: str) -> str:
    values = arguments.get(name, ())
    return values[-1] if values else ""


def _input(value: str) -> dict[str, str]:
    kind, _, ref = value.partition(":")
    return {"kind": kind, "ref": ref}


def _parameters(state: Arguments, kinds: Mapping[str, str]) -> dict[str, ParameterValue]:
    """Values of the template's parameters; an empty field means its default."""
    given = {
        name.removeprefix(_PARAMETER): values[0]
        for name, values in state.items()
        if name.startswith(_PARAMETER) and values[0]
    }
    return {name: _typed(value, kinds.get(name, "text")) for name, value in given.items()}


def _typed(value: str, kind: str) -> ParameterValue:
    """Text as the value it stands for; text that stands for none stays, for the engine to refuse."""
    match kind:
        case "boolean":
            return {"true": True, "false": False}.get(value.lower(), value)
        case "integer":
            return _whole_number(value)
        case "number":
            try:
                return float(value)
            except ValueError:
                return value
        case _:
            return value


def _whole_number(value: str) -> int | str:
    digits = value.removeprefix("-")
    return int(value) if digits.isascii() and digits.isdigit() and len(digits) <= 15 else value
