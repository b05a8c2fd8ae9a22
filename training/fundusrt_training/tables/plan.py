"""Which runs and scores make a table, and what of them is there already.

OUT/ROW/seed-0/              a run of `fundusrt train` (fold-0 in cross-validation)
OUT/ROW/seed-0/scores-test/  its report by `fundusrt evaluate`, and what it was asked for

A row that scores another row's run has the second folder alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fundusrt.errors import UsageError
from fundusrt_training.checkpoints import read_metadata
from fundusrt_training.configuration import apply_settings
from fundusrt_training.run_folder import RunFolder
from fundusrt_training.tables.paper_table import PaperRow, PaperTable

__all__ = ["Part", "PlannedRun", "Repeat", "RunState", "TablePlan", "folds_of", "seeds_of"]

RunState = Literal["not run", "begun", "cut off", "complete", "other settings", "other data"]


@dataclass(frozen=True)
class Repeat:
    """One of the runs a row's mean is over: the folder's name, and what it sets."""

    name: str
    settings: tuple[str, ...]


def seeds_of(count: int) -> list[Repeat]:
    """Return runs that differ in their seed and see all training images."""
    return [Repeat(f"seed-{seed}", (f"run.seed={seed}", "split.fold=null")) for seed in range(count)]


def folds_of(count: int) -> list[Repeat]:
    """Return the runs of a cross-validation."""
    return [Repeat(f"fold-{fold}", (f"split.folds={count}", f"split.fold={fold}")) for fold in range(count)]


@dataclass(frozen=True)
class Part:
    """Images that runs are scored on.

    Attributes:
        name: `test`, or `held-out`: of each run its own fold.
        data: their folder.
        paper: the paper's data set whose figures stand beside, or None.
    """

    name: Literal["test", "held-out"]
    data: Path
    paper: str | None

    @property
    def held_out(self) -> bool:
        """Whether they are each run's own fold."""
        return self.name == "held-out"


@dataclass(frozen=True)
class PlannedRun:
    """A run of a row: its folder, configuration and training data."""

    row: PaperRow
    repeat: Repeat
    folder: Path
    config: Any
    data: Path

    @property
    def checkpoint(self) -> Path:
        """The weights that are scored: those after the last step."""
        return self.folder / "checkpoints" / "last.safetensors"

    def state(self) -> RunState:
        """Return how far the run is: `begun` has no checkpoint yet, `cut off` can be continued."""
        if not (self.folder / "config.json").is_file():
            return "not run"
        if type(self.config).from_dict(json.loads((self.folder / "config.json").read_text())) != self.config:
            return "other settings"
        run = RunFolder(self.folder)
        if not run.resume_file.is_file():
            return "begun"
        if Path(run.facts()["data"]) != self.data.resolve():
            return "other data"
        return "complete" if self._epoch() >= self.config.optim.epochs else "cut off"

    def describe(self) -> str:
        """Return its state with how far it is, in words."""
        state = self.state()
        return f"cut off after {self._epoch()} of {self.config.optim.epochs} epochs" if state == "cut off" else state

    def _epoch(self) -> int:
        return int(read_metadata(RunFolder(self.folder).resume_file)["training"]["progress"]["epoch"])


class TablePlan:
    """All runs of a table.

    Args:
        table: its rows.
        base: the configuration rows start from.
        repeats: runs of each row.
        data: folder that is trained on.
        out: folder of the table.
    """

    def __init__(self, table: PaperTable, base: Any, repeats: Sequence[Repeat], data: Path, out: Path) -> None:
        self.table = table
        self.base = base
        self.repeats = repeats
        self.data = data
        self.out = out

    def run_of(self, row: PaperRow, repeat: Repeat) -> PlannedRun:
        """Return the run that a row scores, its own or another's.

        Raises:
            UsageError: the base configuration does not allow the row's settings.
        """
        row = self.table.run_of(row)
        config = apply_settings(self.base, [*row.settings, *repeat.settings])
        return PlannedRun(row, repeat, self.out / row.key / repeat.name, config, self.data)

    def runs_of(self, rows: Sequence[PaperRow]) -> list[PlannedRun]:
        """Return the runs that rows need, each once: the first of every row, then the second, and so on.

        Raises:
            UsageError: settings that do not fit together, or a folder that holds a run with other settings or of other
                data.
        """
        needed: dict[Path, PlannedRun] = {}
        for repeat in self.repeats:
            for row in rows:
                if row.not_built is None:
                    run = self.run_of(row, repeat)
                    needed.setdefault(run.folder, run)
        for run in needed.values():
            state = run.state()
            if state in ("other settings", "other data"):
                raise UsageError(
                    run.folder,
                    got=f"a run with {state}",
                    expected="a run as this call would make it",
                    fix="choose another folder with -o, or give the --set, --config and --data it was made with",
                )
        return list(needed.values())

    def scores_folder(self, row: PaperRow, repeat: Repeat, part: Part) -> Path:
        """Return where a row's scores on a part lie."""
        return self.out / row.key / repeat.name / f"scores-{part.name}"
