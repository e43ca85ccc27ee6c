"""Which templates are there? Loaded once at start and checked as a whole.

A library is one or more folders, each with a folder per template. A template that does not agree
with itself (unknown technique, parameters cell other than the sidecar, missing file) stops the start,
with file, key and cause.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from pydantic import ValidationError

from templates.cell import CellError, CellParameter, read_parameters
from templates.models import Parameter, ParameterType, ReviewStatus, TemplateSpec
from templates.techniques import panet

BUILTIN = Path(__file__).with_name("library")
"""Templates that come with the application."""

_NOTEBOOK = "notebook.py"

_REFERENCE = re.compile(r"([a-z0-9][a-z0-9-]*)(?:@(\d+(?:\.\d+){0,2}))?")

_TYPES = {
    ParameterType.STRING: "str",
    ParameterType.NUMBER: "float",
    ParameterType.INTEGER: "int",
    ParameterType.BOOLEAN: "bool",
}


class TemplateError(ValueError):
    """A template's folder is wrong; the message names file, key and cause."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One loaded template.

    ``notebook`` is the parsed py:percent source; nobody changes it. ``sha256`` covers the sidecar,
    the notebook and the modules: whatever decides about a result.
    """

    spec: TemplateSpec
    folder: Path
    sha256: str
    cell: tuple[CellParameter, ...]
    notebook: Any = field(repr=False)
    modules: Mapping[str, str] = field(repr=False)

    @property
    def id(self) -> str:
        """Id without version."""
        return self.spec.id

    @property
    def ref(self) -> str:
        """``id@version``, as a launch request names it."""
        return f"{self.spec.id}@{self.spec.version}"

    @property
    def version(self) -> tuple[int, ...]:
        """Version for comparing."""
        return tuple(int(part) for part in self.spec.version.split("."))


class Library:
    """Templates by id and version."""

    def __init__(self, templates: Iterable[Template]) -> None:
        self._templates = sorted(templates, key=lambda t: (t.spec.title, t.id, t.version))

    @classmethod
    def load(cls, folders: Iterable[Path] = (BUILTIN,)) -> Library:
        """Load all templates below ``folders``.

        Raises
        ------
        TemplateError
            If a folder is missing, a template is wrong, or an ``id@version`` is there twice.
        """
        loaded: dict[str, Template] = {}
        for folder in folders:
            if not folder.is_dir():
                raise TemplateError(f"{folder}: no such folder of templates")
            for sidecar in sorted(folder.glob("*/template.yaml")):
                template = load_template(sidecar.parent)
                if template.ref in loaded:
                    raise TemplateError(f"{sidecar}: {template.ref} is also in {loaded[template.ref].folder}")
                loaded[template.ref] = template
        return cls(loaded.values())

    def all(self) -> tuple[Template, ...]:
        """The newest version of each template that is not deprecated, by title."""
        newest = {t.id: t for t in sorted(self._templates, key=lambda t: t.version)}
        return tuple(
            t
            for t in self._templates
            if newest[t.id] is t and t.spec.review.status is not ReviewStatus.DEPRECATED
        )

    def get(self, reference: str) -> Template | None:
        """Newest template that ``id``, ``id@1``, ``id@1.2`` or ``id@1.2.0`` names, or None."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            return None
        wanted = tuple(int(part) for part in match[2].split(".")) if match[2] else ()
        fitting = [t for t in self._templates if t.id == match[1] and t.version[: len(wanted)] == wanted]
        return max(fitting, key=lambda t: t.version, default=None)


def load_template(folder: Path) -> Template:
    """Load and check one template.

    Raises
    ------
    TemplateError
        If anything in the folder is missing or wrong.
    """
    sidecar = folder / "template.yaml"
    spec = _spec(sidecar)
    if spec.id != folder.name and not folder.name.startswith(f"{spec.id}@"):
        raise TemplateError(f"{sidecar}: id: {spec.id!r} is not the name of the folder")
    for technique in spec.techniques:
        if technique not in panet():
            raise TemplateError(f"{sidecar}: techniques: {technique} is not in PaNET")
    source = _read(folder / _NOTEBOOK)
    modules = {name: _read(folder / name) for name in spec.notebook.modules}
    notebook, cell = _notebook(folder / _NOTEBOOK, source)
    _check_cell(folder, spec, cell)
    return Template(spec, folder, _sha256(_read(sidecar), source, modules), cell, notebook, modules)


def _spec(sidecar: Path) -> TemplateSpec:
    try:
        return TemplateSpec.model_validate(yaml.safe_load(_read(sidecar)))
    except yaml.YAMLError as error:
        raise TemplateError(f"{sidecar}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise TemplateError(f"{sidecar}: {key}: {first['msg']}") from error


def _notebook(path: Path, source: str) -> tuple[Any, tuple[CellParameter, ...]]:
    notebook = jupytext.reads(source, fmt="py:percent")
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    if len(tagged) != 1:
        raise TemplateError(f"{path}: needs one cell tagged `parameters`, has {len(tagged)}")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    try:
        cell_parameters = read_parameters(tagged[0].source)
        nbformat.validate(notebook)
    except (CellError, nbformat.ValidationError) as error:
        raise TemplateError(f"{path}: parameters cell: {error}") from error
    return notebook, cell_parameters


def _check_cell(folder: Path, spec: TemplateSpec, cell: tuple[CellParameter, ...]) -> None:
    """The cell and the sidecar name the same parameters, with the same types and defaults, in order."""
    where = folder / _NOTEBOOK
    names, declared = [p.name for p in cell], list(spec.parameters)
    if names != declared:
        odd = sorted(set(names) ^ set(declared)) or ["their order"]
        raise TemplateError(f"{where}: parameters cell and template.yaml differ in {', '.join(odd)}")
    for parameter in cell:
        rule = spec.parameters[parameter.name]
        if parameter.annotation != annotation(rule):
            raise TemplateError(
                f"{where}: {parameter.name}: is {parameter.annotation}, template.yaml says {annotation(rule)}"
            )
        if rule.bind is None and (parameter.default, type(parameter.default)) != (
            rule.default,
            type(rule.default),
        ):
            raise TemplateError(
                f"{where}: {parameter.name}: default {parameter.default!r}, "
                f"template.yaml says {rule.default!r}"
            )


def annotation(rule: Parameter) -> str:
    """Python type of a parameter, as the cell writes it."""
    return f"{_TYPES[rule.type]} | None" if rule.nullable else _TYPES[rule.type]


def _sha256(sidecar: str, source: str, modules: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, text in [("template.yaml", sidecar), (_NOTEBOOK, source), *sorted(modules.items())]:
        digest.update(f"{name}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path}: cannot be read: {error}") from error
