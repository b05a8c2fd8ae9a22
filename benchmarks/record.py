"""Where a benchmark's figures go: `benchmarks/results/<machine>/<question>.json`, with the machine's description."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fundusrt.atomic import write_json
from fundusrt.loading import installed_versions
from fundusrt.machine import cpu_name

__all__ = ["folder_of_this_machine", "machine", "save"]

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system(), "versions": installed_versions()}


def folder_of_this_machine() -> Path:
    """Return where its figures go."""
    here = machine()
    return RESULTS / re.sub(r"[^a-z0-9]+", "-", f"{here['cpu']} {here['cores']} cores".lower()).strip("-")


def save(question: str, figures: dict[str, Any]) -> Path:
    """Write one question's figures beside the machine's description and return the file."""
    here, folder = machine(), folder_of_this_machine()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{question}.json"
    write_json(path, {"machine": here, "measured": datetime.now(UTC).date().isoformat(), **figures})
    return path
