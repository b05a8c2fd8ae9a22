"""The published JSON schema of a benchmark's document, `report.schema.json` beside this file.

After a change of `report.py`: `python -m fundusrt.bench.schema`. A test compares the two.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from fundusrt.bench.report import BenchReport

__all__ = ["current_schema", "published_schema", "schema_path"]


def schema_path() -> Path:
    """Return the file."""
    return Path(str(resources.files("fundusrt.bench") / "report.schema.json"))


def published_schema() -> dict[str, Any]:
    """Return what the file says."""
    return json.loads(schema_path().read_text(encoding="utf-8"))


def current_schema() -> dict[str, Any]:
    """Return the schema of `BenchReport`, of the document as it is written (JSON Schema 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **BenchReport.model_json_schema(mode="serialization"),
    }


if __name__ == "__main__":
    from fundusrt.atomic import write_json

    write_json(schema_path(), current_schema())
