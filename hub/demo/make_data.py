"""Make the demo's data files: ``python -m hub.demo.make_data DATA_ROOT SOURCES < tasks.json``.

Runs in the sessions' environment, which has pyFAI. Tasks are a JSON list of
``{"maker", "path", "meta"}``. A line of JSON, ``{"done", "text"}``, tells each step. A file that
is there in this version is kept; one that is not complete never has its final name.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hub.demo.data import diffraction, nexus, spectra, tomography

Maker = Callable[[Path, dict[str, str], Path, diffraction.Report], None]

MAKERS: Mapping[str, Maker] = {
    maker.__name__: maker
    for maker in (
        diffraction.lab6_series,
        diffraction.lab6_short,
        diffraction.ceo2_series,
        diffraction.measured_saxs,
        tomography.tomography_scan,
        spectra.measured_exafs,
        spectra.measured_steel,
        spectra.measured_sans,
        spectra.fluorescence_map,
    )
}
"""Makers by the name that the facility's files use."""


def main() -> None:
    """Do all tasks in order."""
    data_root, sources = Path(sys.argv[1]), Path(sys.argv[2])
    os.umask(0o027)
    tasks = json.load(sys.stdin)
    for number, task in enumerate(tasks):
        _make(task, data_root, sources, _reporter(number, len(tasks), task["meta"]["title"]))


def _make(task: dict[str, Any], data_root: Path, sources: Path, report: diffraction.Report) -> None:
    path = data_root / task["path"]
    if not nexus.is_made(path):
        MAKERS[task["maker"]](path, task["meta"], sources, report)
    report(1.0)


def _reporter(number: int, tasks: int, title: str) -> diffraction.Report:
    def report(done: float) -> None:
        print(json.dumps({"done": (number + done) / tasks, "text": title}), flush=True)

    return report


if __name__ == "__main__":
    main()
