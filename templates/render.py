"""Which files does a session get for a template and a data set?

The notebook, with its parameters cell filled in; the template's modules beside it; and a context file that
the notebook copies into the provenance of its results. Deterministic: the same request renders to the same
bytes, so a hash of the notebook says what ran.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from templates.catalogue import Template
from templates.cell import write_parameters
from templates.parameters import DatasetRef, Effective

PROVENANCE_FILE = PurePosixPath("panhub_provenance.json")
"""Name of the context file; the notebook's functions look for it in the working folder."""


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """A text file; ``path`` is relative to the working folder."""

    path: PurePosixPath
    content: str


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What the launch knows about this run. Nothing in it is secret.

    ``username`` is what the site lets appear in result files: a name or a pseudonym. ``kernel`` is the
    Jupyter kernel of the environment.
    """

    dataset: DatasetRef
    dataset_pid: str
    proposal: str
    investigation: str
    environment_id: str
    lock_sha256: str
    launch_id: str
    username: str
    doi: str | None = None
    kernel: str = "python3"


def render(
    template: Template, values: Mapping[str, Effective], context: RenderContext
) -> tuple[RenderedFile, ...]:
    """Files of a session, the notebook first.

    Parameters
    ----------
    template
        The template.
    values
        All values, as `templates.parameters.effective` gives them.
    context
        The launch.
    """
    notebook = _notebook_json(template, values, context)
    provenance = _provenance(template, values, context, hashlib.sha256(notebook.encode()).hexdigest())
    return (
        RenderedFile(PurePosixPath(template.spec.notebook.file), notebook),
        *(RenderedFile(PurePosixPath(name), text) for name, text in template.modules.items()),
        RenderedFile(PROVENANCE_FILE, _json(provenance)),
    )


def _notebook_json(template: Template, values: Mapping[str, Effective], context: RenderContext) -> str:
    source = write_parameters(template.cell, {name: item.value for name, item in values.items()})
    parsed = template.notebook
    cells = [_cell(cell, source) for cell in parsed.cells]
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": context.kernel},
        "language_info": {"name": "python"},
        "pan_template": {"id": template.id, "version": template.spec.version, "hash": template.sha256},
    }
    return _json({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def _cell(cell: Mapping[str, Any], parameters: str) -> dict[str, Any]:
    is_parameters = "parameters" in cell["metadata"].get("tags", ())
    text = parameters if is_parameters else cell["source"]
    return {**cell, "metadata": dict(cell["metadata"]), "source": text.splitlines(keepends=True)}


def _provenance(
    template: Template, values: Mapping[str, Effective], context: RenderContext, notebook_sha256: str
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "launch_id": context.launch_id,
        "user": context.username,
        "template": {"id": template.id, "version": template.spec.version, "sha256": template.sha256},
        "notebook_sha256": notebook_sha256,
        "environment": {"id": context.environment_id, "lock_sha256": context.lock_sha256},
        "input": {
            "dataset_pid": context.dataset_pid,
            "doi": context.doi,
            "name": context.dataset.name,
            "path": str(context.dataset.path),
            "investigation": context.investigation,
            "proposal": context.proposal,
        },
        "parameters": {
            name: {"value": item.value, "source": item.source.value} for name, item in values.items()
        },
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
