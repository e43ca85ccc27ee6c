"""Schema, values.yaml and README of the chart, from the models.

``python -m hub.chart.schema`` renews them.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hub.chart.parts import Amounts, Resources, Storage
from hub.chart.values import OWNED, OWNED_GATEWAY, PriorityClass, Values
from hub.settings import Settings
from profiles.models import ProfilesFile
from spawners.slurm.gateway.settings import GatewaySettings

CHART: Final = Path(__file__).parents[2] / "helm/panhub"
SCHEMA_FILE, VALUES_FILE, README_FILE = (
    CHART / name for name in ("values.schema.json", "values.yaml", "README.md")
)
_TABLE_BEGINS: Final = "<!-- Made by `python -m hub.chart.schema`. -->\n"
_WIDTH = 108

_SAID_ENOUGH: Final = (Resources, Amounts, Storage, PriorityClass)
"""Parts whose keys need no comment each time they come."""

_HEAD = """\
# Every value with its default. Made by `python -m hub.chart.schema` from hub/chart/values.py.
# Needed beside these: settings, profiles and secrets.oidc; examples/minimal.yaml is the smallest file.
"""


def schema() -> dict[str, Any]:
    """The JSON schema of the values (2020-12): closed, ours and the application's settings in one."""
    models: list[tuple[type[BaseModel], Any]] = [
        (model, "validation") for model in (Values, Settings, ProfilesFile, GatewaySettings)
    ]
    names, made = models_json_schema(models, by_alias=True)
    parts: dict[str, dict[str, Any]] = made["$defs"]
    ref = {model: names[(model, mode)]["$ref"] for model, mode in models}
    for model, owned in OWNED.items():
        _take_out(parts[model], owned)
    _take_out(parts["GatewaySettings"], OWNED_GATEWAY)
    site, whole = parts["SiteSettings"], parts["Settings"]
    site["required"] = ["public_url"]
    del site["properties"]["public_url"]["default"]
    # A section in which only the chart's own keys are needed may be left out.
    whole["required"] = [
        name for name, part in whole["properties"].items() if parts.get(_named(part), {}).get("required")
    ]
    values = parts.pop("Values")
    for key, kind in (("settings", Settings), ("profiles", ProfilesFile)):
        values["properties"][key] = {
            "$ref": ref[kind],
            "description": values["properties"][key]["description"],
        }
    gateway = parts["TokenGateway"]["properties"]
    gateway["settings"] = {"$ref": ref[GatewaySettings], "description": gateway["settings"]["description"]}
    # Helm gives every chart this one, and puts nothing in it here.
    values["properties"]["global"] = {"type": "object", "maxProperties": 0}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_closed(values),
        "$defs": {name: _closed(part) for name, part in sorted(_used(values, parts).items())},
    }


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def values_of(settings: Settings) -> dict[str, Any]:
    """Settings of a machine as the values' `settings`: without what the chart decides.

    What is at its default is left out; so is what is null, as Helm has no such values.
    """
    raw = settings.model_dump(mode="json", exclude_defaults=True)
    dropped: dict[str, Any] = _without_owned(settings, raw)
    site = dropped.setdefault("site", {})
    site.setdefault("public_url", settings.site.public_url)
    return dropped


def values_text() -> str:
    """values.yaml: every default, each part below what it means."""
    defaults = _defaults(Values)
    lines = [_HEAD]
    for name, field in Values.model_fields.items():
        alias = field.alias or name
        given = _yaml(alias, defaults[alias], field.annotation) if alias in defaults else [f"# {alias}: …"]
        lines += [*_comment(field.description or ""), *given, ""]
    return "\n".join(lines).rstrip() + "\n"


def table() -> Iterator[str]:
    """Rows of the README's table: every key of the chart itself with default and meaning."""
    yield "| Key | Default | Meaning |"
    yield "| --- | --- | --- |"
    for key, default, meaning in keys(Values):
        cells = [cell.replace("|", "\\|") for cell in (f"`{key}`", default, meaning)]
        yield f"| {' | '.join(cells)} |"


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of all that a model of the chart holds, nested models taken apart."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        nested = _model_of(field.annotation)
        given = None if field.is_required() else field.get_default(call_default_factory=True)
        if nested is not None and (isinstance(given, nested) or field.is_required()):
            yield from keys(nested, f"{key}.") if given is None else _with_defaults(nested, key, given)
            continue
        shown = "needed" if field.is_required() else f"`{_plain(given)}`"
        yield key, shown, field.description or ""


def _with_defaults(model: type[BaseModel], key: str, given: BaseModel) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        value = getattr(given, name)
        deeper = f"{key}.{field.alias or name}"
        if isinstance(value, BaseModel):
            yield from _with_defaults(type(value), deeper, value)
        else:
            yield deeper, f"`{_plain(value)}`", field.description or ""


def readme_text() -> str:
    """The README with its table renewed."""
    head, marker, _ = README_FILE.read_text(encoding="utf-8").partition(_TABLE_BEGINS)
    return head + marker + "\n" + "\n".join(table()) + "\n"


def _take_out(part: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        del part["properties"][name]
    if "required" in part:
        part["required"] = [name for name in part["required"] if name not in names]


def _without_owned(value: Any, raw: Any) -> Any:
    if isinstance(value, BaseModel):
        owned = OWNED.get(type(value).__name__, ())
        return {
            name: _without_owned(getattr(value, name), item)
            for name, item in raw.items()
            if name not in owned and item is not None
        }
    if isinstance(value, Mapping):
        return {
            str(getattr(name, "value", name)): _without_owned(value[name], raw[getattr(name, "value", name)])
            for name in value
        }
    if isinstance(value, tuple):
        return [_without_owned(item, raw[i]) for i, item in enumerate(value)]
    return raw


def _closed(part: Any) -> Any:
    """A part of a schema in which mappings take no other keys than they describe; titles go, all the same."""
    if isinstance(part, list):
        return [_closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    made: dict[str, Any] = {
        key: {name: _closed(item) for name, item in value.items()} if key in _NAMED else _closed(value)
        for key, value in part.items()
        if key not in {"discriminator", "examples", "default"}
        and not (key == "title" and isinstance(value, str))
    }
    # A default of parts says what theirs say already, and sets have no order.
    if "default" in part and not (part["default"] and isinstance(part["default"], list | dict)):
        made["default"] = part["default"]
    if "patternProperties" in made:
        made.setdefault("additionalProperties", False)
    if str(made.get("pattern", "")).startswith(_NOT_EMPTY):
        # Helm's regular expressions (RE2) cannot look ahead.
        made |= {"pattern": "^" + made["pattern"].removeprefix(_NOT_EMPTY), "minLength": 1}
    return made


_NOT_EMPTY: Final = "^(?=[0-9])"

_NAMED: Final = frozenset({"properties", "patternProperties", "$defs"})
"""Mappings of a schema whose keys are names of others' choice, never its own words."""


def _named(part: Mapping[str, Any]) -> str:
    """Name of the definition that a part of a schema refers to, or nothing."""
    return str(part.get("$ref", "")).removeprefix("#/$defs/")


def _used(part: Any, parts: Mapping[str, Any], found: dict[str, Any] | None = None) -> dict[str, Any]:
    found = {} if found is None else found
    if isinstance(part, dict):
        name = _named(part)
        if name in parts and name not in found:
            found[name] = parts[name]
            _used(parts[name], parts, found)
        for item in part.values():
            _used(item, parts, found)
    elif isinstance(part, list):
        for item in part:
            _used(item, parts, found)
    return found


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    made = {}
    for name, field in model.model_fields.items():
        if not field.is_required():
            value = field.get_default(call_default_factory=True)
            made[field.alias or name] = _as_json(value)
    return made


def _as_json(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value


def _yaml(key: str, value: Any, kind: Any) -> list[str]:
    """A value in YAML, each key of ours below its meaning."""
    model = _model_of(kind)
    if model is None or not isinstance(value, dict):
        return yaml.safe_dump({key: _listed(value)}, sort_keys=False, width=_WIDTH).rstrip().splitlines()
    lines = [f"{key}:"]
    for name, field in model.model_fields.items():
        alias = field.alias or name
        said = [] if model in _SAID_ENOUGH else _comment(field.description or "")
        lines += [f"  {line}" for line in (*said, *_yaml(alias, value[alias], field.annotation))]
    return lines


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _model_of(kind: Any) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _plain(value: Any) -> str:
    return json.dumps(_as_json(_listed(value)), ensure_ascii=False, default=str)


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    VALUES_FILE.write_text(values_text(), encoding="utf-8")
    README_FILE.write_text(readme_text(), encoding="utf-8")
