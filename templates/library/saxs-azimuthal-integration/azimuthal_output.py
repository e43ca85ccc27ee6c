"""The result file and what is known about its making.

An NXazint1d file is written under a temporary name and renamed when complete, so that whoever finds the
file finds all of it. A run that fails leaves ``<output>.failed.json`` with the reason instead; the next
good run removes it.

Besides the NXazint1d items the entry has ``peaks`` (NXcollection, since every NXdata of an NXazint1d entry
has to hold patterns): ``two_theta_deg``, ``table_two_theta_deg``, ``two_theta_deg_errors`` and ``hkl`` of
each fitted line; ``quality`` (NXcollection): a value, unit and
verdict for each indicator; and ``reduction`` (NXprocess) with the parameters and a JSON note.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from azimuthal import Indicator, Peaks, Reduction
from azimuthal_input import AnalysisError, Series
from pyFAI.io.nexus import save_NXazint1d

CONTEXT_FILE = "panhub_provenance.json"

_PACKAGES = ("numpy", "scipy", "h5py", "pyFAI", "silx", "fabio", "matplotlib")

_REFERENCE = "https://doi.org/10.1107/S1600576715004306"  # pyFAI, J. Appl. Cryst. 48 (2015) 510


class Run:
    """One run of the notebook: its parameters, its context, and how it ended.

    Parameters
    ----------
    parameters
        Effective values of all parameters; ``output_file`` among them.
    folder
        Where the context file is; the notebook's folder.
    """

    def __init__(self, parameters: Mapping[str, Any], folder: Path | None = None) -> None:
        self.parameters = dict(parameters)
        self.context = _context((folder or Path.cwd()) / CONTEXT_FILE)
        self.output = Path(self.parameters["output_file"])
        self._started = time.monotonic()
        self._is_done = False

    def watch(self, shell: Any) -> None:
        """Have the notebook's shell tell of every failed cell until the result is saved."""
        if shell is not None:
            shell.events.register("post_run_cell", self._after_cell)

    def save(self, series: Series, reduction: Reduction, peaks: Peaks, quality: Sequence[Indicator]) -> Path:
        """Write the result file and return its path.

        Raises
        ------
        AnalysisError
            If it cannot be written.
        """
        temporary = self.output.with_name(f".{self.output.name}.{os.getpid()}.tmp")
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            save_NXazint1d(
                str(temporary),
                reduction.results,
                instrument=series.instrument,
                sample=series.sample,
                wavelength=reduction.wavelength,
            )
            with h5py.File(temporary, "r+") as file:
                entry = file["entry"]
                _write_reduction(entry, series, self.parameters, self.provenance("finished", series, quality))
                entry["reduction/raw_data"] = h5py.ExternalLink(str(series.file), series.path)
                _write_peaks(entry, peaks)
                _write_quality(entry, quality)
            temporary.replace(self.output)
        except OSError as error:
            raise AnalysisError(f"{self.output} cannot be written: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)
        self._failed_file.unlink(missing_ok=True)
        self._is_done = True
        return self.output

    def failed(self, error: BaseException) -> None:
        """Leave the reason beside where the result would be."""
        record = self.provenance("failed") | {"error": f"{type(error).__name__}: {error}"}
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            self._failed_file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        except OSError:
            return  # the folder itself may be what failed; the cell shows its own error

    def provenance(
        self, status: str, series: Series | None = None, quality: Sequence[Indicator] = ()
    ) -> dict[str, Any]:
        """All that is known about this run, as JSON."""
        known = self.context
        sources = {name: item["source"] for name, item in known.get("parameters", {}).items()}
        asked = {name: item["value"] for name, item in known.get("parameters", {}).items()}
        return {
            "status": status,
            "launch_id": known.get("launch_id"),
            "user": known.get("user", getpass.getuser()),
            "template": known.get("template"),
            "notebook_sha256": known.get("notebook_sha256"),
            "environment": known.get("environment"),
            "input": (known.get("input") or {}) | (_fingerprint(series) if series else {}),
            "parameters": {
                name: {"value": value, "source": sources.get(name) if asked.get(name) == value else "user"}
                for name, value in self.parameters.items()
            },
            "versions": {"python": platform.python_version()} | _versions(),
            "cores": len(os.sched_getaffinity(0)),
            "job_id": os.environ.get("SLURM_JOB_ID"),
            "wall_time_s": round(time.monotonic() - self._started, 3),
            "date": _now(),
            "quality": [vars(item) for item in quality],
        }

    @property
    def _failed_file(self) -> Path:
        return self.output.with_name(f"{self.output.name}.failed.json")

    def _after_cell(self, result: Any) -> None:
        error = result.error_before_exec or result.error_in_exec
        if error is not None and not self._is_done:
            self.failed(error)


def _context(file: Path) -> dict[str, Any]:
    """What the launch wrote beside the notebook; empty for a notebook opened elsewhere."""
    try:
        context = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise AnalysisError(f"{file} cannot be read: {error}") from error
    return context if isinstance(context, dict) else {}


def _write_reduction(
    entry: h5py.Group, series: Series, parameters: Mapping[str, Any], provenance: Mapping[str, Any]
) -> None:
    template = provenance["template"] or {}
    group = _group(entry, "reduction", "NXprocess")
    group["program"] = template.get("id", "saxs-azimuthal-integration")
    group["version"] = template.get("version", "unknown")
    group["date"] = provenance["date"]
    group["reference"] = _REFERENCE
    group["sequence_index"] = 1
    group["note"] = "Azimuthal integration by pyFAI; see provenance for versions, input and parameters."
    values = _group(group, "input", "NXparameters")
    values["error_model"] = "variance" if series.errors else "poisson"
    values["n_splitting"] = "full"
    for name, value in parameters.items():
        values[name] = "" if value is None else value
    note = _group(group, "provenance", "NXnote")
    note["type"] = "application/json"
    note["data"] = json.dumps(provenance, indent=1)


def _write_peaks(entry: h5py.Group, peaks: Peaks) -> None:
    group = _group(entry, "peaks", "NXcollection")
    _angles(group, "two_theta_deg", peaks.two_theta_deg)
    _angles(group, "two_theta_deg_errors", peaks.error_deg)
    if peaks.hkl:
        _angles(group, "table_two_theta_deg", peaks.table_two_theta_deg)
        group.create_dataset("hkl", data=list(peaks.hkl), dtype=h5py.string_dtype())


def _write_quality(entry: h5py.Group, quality: Sequence[Indicator]) -> None:
    group = _group(entry, "quality", "NXcollection")
    for item in quality:
        dataset = group.create_dataset(item.name, data=item.value)
        dataset.attrs["units"] = item.unit
        dataset.attrs["verdict"] = item.verdict


def _angles(group: h5py.Group, name: str, values: np.ndarray) -> None:
    group.create_dataset(name, data=np.asarray(values, dtype=float)).attrs["units"] = "degrees"


def _group(parent: h5py.Group, name: str, nxclass: str) -> h5py.Group:
    group = parent.require_group(name)
    group.attrs["NX_class"] = nxclass
    return group


def _fingerprint(series: Series) -> dict[str, Any]:
    """Identity of the raw data: path, size, time, and a hash of shape, type, first and last frame."""
    status = series.file.stat()
    digest = hashlib.sha256(f"{series.shape}{series.dtype}".encode())
    with h5py.File(series.file, "r") as file:
        data = file[series.path]
        for frame in (data[0], data[-1]) if data.ndim == 3 else (data[()],):
            digest.update(np.ascontiguousarray(frame).tobytes())
    return {
        "file": str(series.file),
        "entry": series.path,
        "frames": [series.selection.start, series.selection.stop, series.selection.step],
        "size_bytes": status.st_size,
        "modified": datetime.fromtimestamp(status.st_mtime, UTC).isoformat(),
        "fingerprint_sha256": digest.hexdigest(),
    }


def _versions() -> dict[str, str]:
    """Versions of the packages imported by now."""
    return {name: metadata.version(name) for name in _PACKAGES if name in sys.modules}


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")
