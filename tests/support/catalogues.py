"""Catalogues for tests: a small facility in files, and one that can be told to fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hub.catalogue.base import CatalogueError
from hub.catalogue.files import FilesCatalogue

FACILITY = {
    "name": "Test facility",
    "roles": {
        "Principal investigator": "pi",
        "Collaborator": "collaborator",
        "Local contact": "local_contact",
    },
    "industrial": ["in*"],
}
INSTRUMENTS = {
    "instruments": [
        {"id": "id22", "title": "Powder", "scientists": ["100201"]},
        {"id": "bm05", "title": "Imaging"},
    ]
}


def proposal(name: str, user_id: str = "999999", **visit: Any) -> dict[str, Any]:
    """A proposal with one visit and two data sets; ``visit`` changes the visit."""
    start = visit.pop("start", "2026-10-31T08:00:00Z")
    day = start[:10].replace("-", "")
    files = [("raw", "RAW_DATA/LaB6/LaB6.h5"), ("processed", "PROCESSED_DATA/LaB6_azint.h5")]
    return {
        "name": name,
        "title": visit.pop("title", f"Study {name}"),
        "is_proprietary": visit.pop("is_proprietary", None),
        "grants": visit.pop("grants", []),
        "team": [{"user_id": user_id, "role": "principal INVESTIGATOR", "name": "Maja Lindqvist"}],
        "investigations": [
            {
                "id": f"{name}-1",
                "instrument": "id22",
                "start": start,
                "end": "2026-11-03T08:00:00Z",
                "root": f"{name}/id22/{day}",
                "datasets": [
                    {
                        "pid": f"ds-{name}-{kind}",
                        "name": f"LaB6 {kind}",
                        "kind": kind,
                        "path": path,
                        "created": f"2026-11-0{number}T08:00:00Z",
                        "techniques": ["PaNET01101"],
                    }
                    for number, (kind, path) in enumerate(files, start=1)
                ],
                **visit,
            }
        ],
    }


def write_facility(folder: Path, *proposals: dict[str, Any]) -> Path:
    """Write catalogue files; JSON is YAML too, so the same text serves for both."""
    (folder / "proposals").mkdir(parents=True, exist_ok=True)
    (folder / "facility.yaml").write_text(json.dumps(FACILITY))
    (folder / "instruments.yaml").write_text(json.dumps(INSTRUMENTS))
    for entry in proposals:
        path = folder / "proposals" / f"{entry['name']}.yaml"
        path.write_text(json.dumps({"proposals": [entry]}))
    return folder


def write_data(root: Path, *proposals: dict[str, Any]) -> Path:
    """Folders and files of the proposals' data sets."""
    for entry in proposals:
        for visit in entry["investigations"]:
            for dataset in visit["datasets"]:
                path = root / visit["root"] / dataset["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(dataset["pid"])
    return root


class FailingCatalogue:
    """A catalogue that answers until it is told to fail."""

    def __init__(self, behind: FilesCatalogue) -> None:
        self._behind = behind
        self.fails = False
        self.questions: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **kwargs: Any) -> Any:
            self.questions.append(name)
            if self.fails:
                raise CatalogueError("told to fail")
            return await getattr(self._behind, name)(*args, **kwargs)

        return ask
