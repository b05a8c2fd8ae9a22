"""Write the tables that C++ shares with Python as JSON: `python cpp_examples/generate_tables.py`.

The manifest's and the certificate's schema, the parity ladder's limits, and what each system needs. A test compares the
files with what this would write, so neither side can change alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fundusrt.certificate import Certificate
from fundusrt.ladder import LADDER
from fundusrt.manifest import CmwnetManifest, MageNetManifest, SsMafManifest, manifest_schema

FOLDER = Path(__file__).parent / "src" / "bundle"


def tables() -> dict[str, str]:
    """Return the text of each file by its name."""
    ladder = {
        rung: [
            {key: getattr(limit, key) for key in ("metric", "value", "bound", "task", "needed")}
            for limit in kind.limits.values()
        ]
        for rung, kind in LADDER.items()
    }
    systems = {
        name: {"roles": dict(manifest.network_roles), "rungs": list(manifest.required_rungs)}
        for name, manifest in (("cmwnet", CmwnetManifest), ("ss-maf", SsMafManifest), ("mage-net", MageNetManifest))
    }
    content = {
        "manifest_schema.json": _bare(manifest_schema()),
        "certificate_schema.json": _bare(Certificate.model_json_schema()),
        "ladder.json": {"limits": ladder, "systems": systems},
    }
    return {name: json.dumps(value, indent=1, ensure_ascii=True) + "\n" for name, value in content.items()}


def _bare(schema: Any, *, names: bool = False) -> Any:
    """Return a schema without the texts for readers; `names`: the keys are names of fields, not of the schema."""
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if names or key not in ("title", "description")}
    inside = ("properties", "$defs", "default")
    return {
        key: value if key == "default" and not names else _bare(value, names=key in inside)
        for key, value in kept.items()
    }


if __name__ == "__main__":
    for name, text in tables().items():
        (FOLDER / name).write_text(text)
