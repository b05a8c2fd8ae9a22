"""The progress of builds as bars in a terminal."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["TerminalProgress"]


class TerminalProgress:
    """Bars on standard error, one a phase, for the block; they are gone afterwards."""

    def __init__(self, console: Console | None = None) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._bars = Progress(*columns, console=console or Console(stderr=True), transient=True)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def engine(self, name: str) -> EngineBars:
        """Return what hears of the phases of one engine."""
        return EngineBars(self._bars, name)


class EngineBars:
    """The bars of one engine; the outermost carries its name."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars = bars
        self._name = name
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()  # phases come from the builder's threads

    def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
        """Add a bar."""
        depth = "  " if parent else ""
        with self._lock:
            self._tasks[phase] = self._bars.add_task(f"{depth}{phase if parent else self._name}", total=steps)

    def step_complete(self, phase: str, step: int) -> None:
        """Move a bar on."""
        with self._lock:
            if phase in self._tasks:
                self._bars.update(self._tasks[phase], completed=step + 1)

    def phase_finish(self, phase: str) -> None:
        """Take a bar away."""
        with self._lock:
            if phase in self._tasks:
                self._bars.remove_task(self._tasks.pop(phase))
