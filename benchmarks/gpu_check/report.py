"""Sections, each on its own: what fails in one is written down and hides no other."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Report", "Skipped"]


class Skipped(Exception):
    """A section that cannot be run here; the text says why. Nothing failed, and nothing was proved."""


class Report:
    """Figures by section, as `gpu_check.json` and `gpu_check.md` in a folder.

    Args:
        folder: made if it does not exist.
        budget_s: seconds for the whole check; a section that would begin later is skipped.
    """

    def __init__(self, folder: Path, budget_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.sections: dict[str, dict[str, Any]] = {}
        self._began = time.monotonic()
        self._budget_s = budget_s

    def left_s(self) -> float:
        """Return how many seconds of the budget are left."""
        return self._budget_s - (time.monotonic() - self._began)

    def section(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Run one section and write the report so far.

        `work` returns its figures; an `AssertionError` or any other exception is a failure. Its own `failed`, a list of
        texts, is one too.
        """
        began = time.monotonic()
        figures: dict[str, Any]
        if self.left_s() < 5.0:
            figures = {"state": "skipped", "reason": f"the budget of {self._budget_s:g} s is spent"}
        else:
            try:
                figures = work()
                figures = {"state": "failed" if figures.get("failed") else "passed", **figures}
            except Skipped as reason:
                figures = {"state": "skipped", "reason": str(reason)}
            except (Exception, SystemExit) as error:
                text = "".join(traceback.format_exception(error)[-6:])
                figures = {"state": "failed", "failed": [f"{type(error).__name__}: {error}"], "traceback": text}
        figures["seconds"] = round(time.monotonic() - began, 1)
        self.sections[name] = figures
        print(f"[{time.monotonic() - self._began:6.1f} s] {name}: {figures['state']}", flush=True)
        for line in figures.get("failed", ()):
            print(f"    {line[:1500]}", flush=True)
        if "reason" in figures:
            print(f"    {figures['reason'][:1500]}", flush=True)
        self.write()
        return figures

    @property
    def failed(self) -> list[str]:
        """Names of the sections that failed."""
        return [name for name, figures in self.sections.items() if figures["state"] == "failed"]

    def write(self) -> None:
        """Write both files."""
        spent = round(time.monotonic() - self._began, 1)
        content = {"seconds": spent, "failed": self.failed, "sections": self.sections}
        (self.folder / "gpu_check.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (self.folder / "gpu_check.md").write_text(self.markdown(spent), encoding="utf-8")

    def markdown(self, spent: float) -> str:
        """Return the report for people."""
        machine = self.sections.get("machine", {})
        lines = [
            f"# GPU check: {machine.get('gpu', 'no GPU')}",
            "",
            f"Networks: {self.sections.get('networks', {}).get('used', 'none ran')}.",
            f"{spent:g} s in all.",
            "",
            "| section | state | s |",
            "|---|---|---|",
            *(f"| {name} | {each['state']} | {each['seconds']:g} |" for name, each in self.sections.items()),
            "",
        ]
        for name, figures in self.sections.items():
            lines += [f"## {name}", ""]
            lines += [f"**{figures['state']}** {figures.get('reason', '')}", ""] if figures["state"] != "passed" else []
            lines += [f"- {line}" for line in figures.get("failed", ())]
            for key, value in figures.items():
                if key in ("state", "reason", "failed", "seconds", "traceback"):
                    continue
                lines += _shown(key, value)
            lines.append("")
        return "\n".join(lines)


def _shown(key: str, value: Any) -> list[str]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        columns = list(dict.fromkeys(column for row in value for column in row))
        rows = ["| " + " | ".join(_text(row.get(column)) for column in columns) + " |" for row in value]
        return ["", f"{key}:", "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *rows, ""]
    if isinstance(value, dict):
        return [f"- {key}: " + ", ".join(f"{name} {_text(each)}" for name, each in value.items())]
    return [f"- {key}: {_text(value)}"]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value)
    return str(value).replace("|", "/").replace("\n", " ")
