"""Sections, each on its own: what fails in one is written down and hides no other."""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Report", "Skipped", "at_least", "at_most"]

_GRACE_S = 20.0  # a section that began in time may run over by this much


class Skipped(Exception):
    """A section that cannot be run here; the text says why. Nothing failed, and nothing was proved."""


def at_least(what: str, measured: float, share: float) -> dict[str, Any]:
    """Return a target as sections report it: a measured share that should not be smaller than `share`."""
    return {"target": f"{what} >= {share:.0%}", "measured": f"{measured:.1%}", "met": bool(measured >= share)}


def at_most(what: str, measured: float, share: float) -> dict[str, Any]:
    """Return a target: a measured share that should not be larger than `share`."""
    return {"target": f"{what} <= {share:.0%}", "measured": f"{measured:.1%}", "met": bool(measured <= share)}


class Report:
    """Figures by section, as `gpu_check.json` and `gpu_check.md` in a folder.

    Args:
        folder: made if it does not exist.
        budget_s: seconds for the whole check; a section that would begin later is skipped.
        began: when the check began, by `time.monotonic`; None for now.
    """

    def __init__(self, folder: Path, budget_s: float, began: float | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.sections: dict[str, dict[str, Any]] = {}
        self._began = time.monotonic() if began is None else began
        self._budget_s = budget_s
        self._running = "nothing"

    def left_s(self) -> float:
        """Return how many seconds of the budget are left."""
        return self._budget_s - self._spent_s()

    def end_in_time(self, stop: Callable[[int], None] = os._exit) -> None:
        """Write the report and end the process with 1 if a section still runs when the budget is well over.

        A GPU that hangs answers nothing and cannot be interrupted.

        Args:
            stop: ends the process.
        """

        def over() -> None:
            text = f"stopped: still running {_GRACE_S:g} s after the budget of {self._budget_s:g} s"
            self.sections[self._running] = {"state": "failed", "failed": [text], "seconds": round(self._spent_s(), 1)}
            self.write()
            print(f"{self._running}: {text}", flush=True)
            stop(1)

        timer = threading.Timer(max(0.0, self.left_s() + _GRACE_S), over)
        timer.daemon = True
        timer.start()

    def section(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Run one section and write the report so far.

        `work` returns its figures; an `AssertionError` or any other exception is a failure. Its own `failed`, a list of
        texts, is one too. `targets`, from `at_least` and `at_most`, are shown at the top; one that is missed is named,
        and no failure.
        """
        began = time.monotonic()
        self._running = name
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
        print(f"[{self._spent_s():6.1f} s] {name}: {figures['state']}", flush=True)
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

    @property
    def targets(self) -> list[dict[str, Any]]:
        """The targets of all sections."""
        return [target for figures in self.sections.values() for target in figures.get("targets", ())]

    @property
    def missed(self) -> list[str]:
        """Targets that were measured and not met."""
        return [f"{each['target']} ({each['measured']})" for each in self.targets if not each["met"]]

    def write(self) -> None:
        """Write both files."""
        spent = round(self._spent_s(), 1)
        content = {"seconds": spent, "failed": self.failed, "targets": self.targets, "sections": self.sections}
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
            *(_shown("Targets", self.targets) if self.targets else ["", "No target was measured.", ""]),
        ]
        for name, figures in self.sections.items():
            lines += [f"## {name}", ""]
            lines += [f"**{figures['state']}** {figures.get('reason', '')}", ""] if figures["state"] != "passed" else []
            lines += [f"- {line}" for line in figures.get("failed", ())]
            for key, value in figures.items():
                if key in ("state", "reason", "failed", "seconds", "targets", "traceback"):
                    continue
                lines += _shown(key, value)
            lines.append("")
        return "\n".join(lines)

    def _spent_s(self) -> float:
        return time.monotonic() - self._began


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
