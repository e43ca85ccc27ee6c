"""Run a rendered template as production does: its files in a folder, papermill of the environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from templates.catalogue import Template
from templates.facts import FileFacts
from templates.inspect import inspect_file
from templates.parameters import DatasetRef, effective
from templates.render import RenderContext, render

ENVIRONMENT = Path(__file__).parents[2] / "build/environments/pan-core"


@dataclass(frozen=True)
class Outcome:
    """How a run of a notebook ended."""

    code: int
    log: str
    folder: Path
    outputs: Path

    @property
    def left(self) -> list[str]:
        """Names of all files in the output folder."""
        return sorted(item.name for item in self.outputs.iterdir()) if self.outputs.exists() else []


def run_template(
    template: Template,
    data: Path,
    folder: Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    look_inside: bool = True,
) -> Outcome:
    """Render a template for a data file into ``folder`` and execute it."""
    outputs = write_template(template, data, folder, parameters, look_inside=look_inside)
    done = subprocess.run(
        [ENVIRONMENT / "bin/papermill", template.spec.notebook.file, "run.ipynb", "--no-progress-bar"],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=150,
    )
    return Outcome(done.returncode, done.stdout + done.stderr, folder, outputs)


def write_template(
    template: Template,
    data: Path,
    folder: Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    look_inside: bool = True,
) -> Path:
    """Render a template for a data file into ``folder``; returns where its results will be."""
    outputs = folder / "processed"
    dataset = DatasetRef(PurePosixPath(data), "LaB6 scan/1", PurePosixPath(outputs))
    values = effective(template, parameters or {}, dataset, _facts(data) if look_inside else None)
    context = RenderContext(
        dataset=dataset,
        dataset_pid="10.5072/panhub-lab6",
        proposal="hc-1001",
        investigation="hc-1001-id31",
        environment_id="pan-core",
        lock_sha256="0" * 64,
        launch_id="0123456789abcdef",
        username="ada",
    )
    folder.mkdir(parents=True, exist_ok=True)
    for file in render(template, values, context):
        (folder / file.path).write_text(file.content, encoding="utf-8")
    return outputs


def _facts(data: Path) -> FileFacts | None:
    try:
        return inspect_file(data)
    except OSError:
        return None


def _environment() -> dict[str, str]:
    return {
        "PATH": f"{ENVIRONMENT / 'bin'}:/usr/bin:/bin",
        "HOME": os.environ["HOME"],
        "OMP_NUM_THREADS": "2",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
