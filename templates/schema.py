"""Write the JSON Schema of `template.yaml`: ``python -m templates.schema``."""

from __future__ import annotations

import json
from pathlib import Path

from templates.models import TemplateSpec

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def schema_text() -> str:
    """JSON Schema (2020-12) of a sidecar, as text."""
    schema = TemplateSpec.model_json_schema(by_alias=True)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
