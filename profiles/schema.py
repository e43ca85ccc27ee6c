"""The published JSON schema of the profiles file: ``python -m profiles.schema`` renews it."""

from __future__ import annotations

import json
from pathlib import Path

from profiles.models import ProfilesFile

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def schema_text() -> str:
    """The schema as it is published (JSON Schema 2020-12)."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ProfilesFile.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
