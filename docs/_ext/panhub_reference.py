"""Reference pages that are made from the code at each build, so that they cannot fall behind it.

One directive, ``panhub``, with one argument: ``settings``, ``token-gateway``, ``profiles``,
``chart``, ``problems``, ``command-line``, ``tables`` or ``api``.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from docutils import nodes
from docutils.statemachine import StringList
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]

Lines = Iterator[str]

_NEEDED = object()


@dataclass(frozen=True)
class Code:
    """One problem code, as it stands in the source."""

    code: str
    status: str
    title: str
    hint: str


def settings() -> Lines:
    """Every key of the configuration, section by section."""
    from hub.settings import Settings

    for name, field in Settings.model_fields.items():
        yield f"## `{name}`"
        yield ""
        # A section that may be absent as a whole is the model or None.
        section = next((arg for arg in get_args(field.annotation) if _is_model(arg)), field.annotation)
        need = "" if field.is_required() else " May be left out."
        yield f"{_first_line(section)}{need}"
        yield ""
        yield from _keys(section, name, _given(field, name, None))


def token_gateway() -> Lines:
    """Every key of the token gateway's file, and the codes of its refusals."""
    from spawners.slurm.gateway.policy import text_of
    from spawners.slurm.gateway.protocol import Code
    from spawners.slurm.gateway.settings import GatewaySettings

    yield "## Keys"
    yield ""
    yield from _keys(GatewaySettings, "")
    yield "## Refusals"
    yield ""
    yield "As they stand in the audit log and in the gateway's answers."
    yield ""
    yield from _table(("Code", "Text"), [(f"`{code.value}`", text_of(code, "…")) for code in Code])


def profiles() -> Lines:
    """Every key of the profiles file."""
    from profiles import models, places

    for title, model in (
        ("The file", models.ProfilesFile),
        ("An environment", models.EnvironmentEntry),
        ("A size", models.SizeEntry),
        ("A place on this machine", places.LocalPlace),
        ("A place of Slurm", places.SlurmPlace),
        ("A place of Kubernetes", places.KubernetesPlace),
        ("A place of batchspawner", places.BatchspawnerPlace),
        ("A profile", models.ProfileEntry),
        ("A rule of `allow`", models.Rule),
    ):
        yield f"## {title}"
        yield ""
        yield _first_line(model)
        yield ""
        yield from _keys(model, "")


def chart() -> Lines:
    """Every value of the chart, and the settings that it decides itself."""
    from hub.chart.schema import keys
    from hub.chart.values import OWNED, OWNED_GATEWAY, Values

    head = ("Key", "Default", "Meaning")
    held: dict[Any, str] = {}
    for name, field in Values.model_fields.items():
        key = field.alias or name
        yield f"## `{key}`"
        yield ""
        yield f"{field.description or ''}{' Needed.' if field.is_required() else ''}"
        yield ""
        if _is_model(field.annotation):
            yield from _table(head, [(f"`{key}.{inner}`", *rest) for inner, *rest in keys(field.annotation)])
            _collect(field.annotation, key, held)
    yield "## Entries of lists, and what may be null"
    yield ""
    for model, where in held.items():
        kind = _kind_of(model)
        yield f"### `{where}` of kind `{kind}`" if kind else f"### `{where}`"
        yield ""
        yield _first_line(model)
        yield ""
        yield from _table(head, [(f"`{inner}`", *rest) for inner, *rest in keys(model)])
    yield "## Settings that the chart decides"
    yield ""
    decided = {**OWNED, "GatewaySettings": OWNED_GATEWAY}
    rows = [(f"`{model}`", ", ".join(f"`{name}`" for name in names)) for model, names in decided.items()]
    yield from _table(("Part of the settings", "Keys"), rows)


def _collect(model: type[BaseModel], prefix: str, found: dict[Any, str]) -> None:
    """Models in lists, unions and behind null, by the first key that takes them."""
    for name, field in model.model_fields.items():
        key = f"{prefix}.{field.alias or name}"
        for inner in (field.annotation,) if _is_model(field.annotation) else get_args(field.annotation):
            if _is_model(inner) and inner not in found:
                if inner is not field.annotation:
                    found[inner] = key
                _collect(inner, key, found)


def problems() -> Lines:
    """Every problem code that the application can answer with."""
    rows = [(f"`{c.code}`", c.status, c.title, c.hint) for c in problem_codes()]
    yield from _table(("Code", "Status", "Title", "Next step"), rows)


def command_line() -> Lines:
    """The help of every command."""
    from hub.cli import parser

    top = parser()
    yield from _block(top.format_help())
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield f"## `panhub {name}`"
                yield ""
                yield from _block(command.format_help())


def tables() -> Lines:
    """Every table of the service's database."""
    from importlib import import_module

    from hub.database import ALL_METADATA
    from hub.migrate import TABLE_MODULES

    for module in TABLE_MODULES:
        import_module(module)
    for metadata in ALL_METADATA:
        for table in metadata.sorted_tables:
            yield f"## `{table.name}`"
            yield ""
            rows = [
                (f"`{c.name}`", str(c.type), "yes" if c.nullable else "no", _column_notes(c))
                for c in table.columns
            ]
            yield from _table(("Column", "Type", "May be null", "Notes"), rows)


def api() -> Lines:
    """Every operation of the spawn API, from its OpenAPI document."""
    from hub.api.openapi import document

    described = document()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if method not in {"get", "post", "delete", "put", "patch"}:
                continue
            yield f"## `{method.upper()} {path}`"
            yield ""
            yield operation.get("summary", "")
            yield ""
            yield operation.get("description", "")
            yield ""
            rows = [(code, answer.get("description", "")) for code, answer in operation["responses"].items()]
            yield from _table(("Status", "Means"), rows)


KINDS: dict[str, Callable[[], Lines]] = {
    "settings": settings,
    "token-gateway": token_gateway,
    "profiles": profiles,
    "chart": chart,
    "problems": problems,
    "command-line": command_line,
    "tables": tables,
    "api": api,
}


def problem_codes() -> list[Code]:
    """All ``Problem(…)`` with a literal code in the source of the application, by code."""
    found: dict[str, Code] = {}
    for path in sorted((ROOT / "hub").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
                code = _code(node)
                if code is not None:
                    found.setdefault(code.code, code)
    return [found[name] for name in sorted(found)]


def _code(call: ast.Call) -> Code | None:
    names = ("code", "status", "title", "detail", "hint")
    given = dict(zip(names, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}
    code = given.get("code")
    if not (isinstance(code, ast.Constant) and isinstance(code.value, str)):
        return None
    return Code(code.value, *(_text(given.get(name)) for name in ("status", "title", "hint")))


def _text(node: ast.expr | None) -> str:
    match node:
        case None:
            return ""
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        case ast.Attribute():
            return node.attr
        case _:
            return "…"


def _keys(model: Any, section: str, default: Any = None) -> Lines:
    """The table of a model's keys; below it, one for each model that lists or mappings hold."""
    yield from _table(("Key", "Type", "Default", "Meaning"), list(_rows(model, "", default)))
    for key, held in _held(model, ""):
        if section:
            kind = _kind_of(held)
            yield f"### `{section}.{key}` of kind `{kind}`" if kind else f"### Each of `{section}.{key}`"
            yield ""
            yield from _keys(held, f"{section}.{key}")


def _rows(model: type[BaseModel], prefix: str, default: Any) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        # A model may be given other values than its own defaults by the one that holds it.
        given = _given(field, name, default)
        if _is_model(field.annotation):
            yield from _rows(field.annotation, f"{prefix}{name}.", given)
            continue
        shown = "needed" if given is _NEEDED else f"`{_default(given)}`"
        yield f"`{prefix}{name}`", f"`{_kind(field.annotation)}`", shown, field.description or ""


def _given(field: Any, name: str, default: Any) -> Any:
    if isinstance(default, BaseModel):
        return getattr(default, name)
    return _NEEDED if field.is_required() else field.get_default(call_default_factory=True)


def _held(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        if _is_model(field.annotation):
            yield from _held(field.annotation, f"{prefix}{name}.")
        else:
            yield from ((f"{prefix}{name}", arg) for arg in get_args(field.annotation) if _is_model(arg))


def _kind_of(model: type[BaseModel]) -> str:
    """Value of the key ``kind`` by which a model is one of several, or nothing."""
    field = model.model_fields.get("kind")
    values = get_args(field.annotation) if field is not None and field.is_required() else ()
    return str(values[0]) if len(values) == 1 else ""


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _default(value: Any) -> str:
    def plain(held: Any) -> Any:
        if isinstance(held, BaseModel):
            return held.model_dump(mode="json", exclude_defaults=True)
        return str(held)

    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, frozenset | set):
        value = sorted(value)
    return json.dumps(value, default=plain, ensure_ascii=False)


def _kind(kind: Any) -> str:
    """A type as people read it: without patterns and module paths, which the schemas have."""
    origin, args = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " | ".join(f"'{member.value}'" for member in kind)
    if origin is Annotated:
        return _kind(args[0])
    if origin is Literal:
        return " | ".join(repr(each.value if isinstance(each, Enum) else each) for each in args)
    if origin in (Union, UnionType):
        return " | ".join((_kind_of(each) if _is_model(each) else "") or _kind(each) for each in args)
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_kind, args))}]"
    named = {NoneType: "None", timedelta: "duration", ...: "..."}
    return str(named.get(kind) or getattr(kind, "__name__", kind))


def _column_notes(column: Any) -> str:
    notes = ["primary key"] if column.primary_key else []
    notes += [f"→ `{key.target_fullname}`" for key in column.foreign_keys]
    return ", ".join(notes)


def _first_line(thing: Any) -> str:
    return (getattr(thing, "__doc__", "") or "").strip().split("\n\n")[0].replace("\n", " ").strip()


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Lines:
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        cells = [cell.replace("|", "\\|").replace("\n", " ") for cell in row]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _block(text: str) -> Lines:
    yield "```text"
    yield from text.rstrip().splitlines()
    yield "```"
    yield ""


class PanHubDirective(SphinxDirective):
    """Puts a reference made from the code into the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the lines of the kind that is asked for as part of the page, headings among them."""
        kind = self.arguments[0]
        holder = nodes.Element()
        content = StringList(list(KINDS[kind]()), source=f"panhub {kind}")
        self.state.nested_parse(content, self.content_offset, holder, match_titles=True)
        return holder.children


def read_references_again(_app: Sphinx, env: Any, names: list[str]) -> None:
    """Read pages made from the code at every build: the code may have changed where they have not."""
    names.extend(n for n in env.found_docs if n.startswith("reference/") and n not in names)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("panhub", PanHubDirective)
    app.connect("env-before-read-docs", read_references_again)
    return {"parallel_read_safe": True}
