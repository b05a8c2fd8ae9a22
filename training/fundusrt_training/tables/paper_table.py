"""A table of a paper as data: its rows, what each changes in a configuration, and the figures that are printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fundusrt.errors import UsageError

__all__ = ["Figures", "PaperRow", "PaperTable", "figures"]

Figures = Mapping[str, "float | None"]


@dataclass(frozen=True)
class PaperRow:
    """One row.

    Args:
        key: names it on the command line and in the output folder.
        title: names it in the table.
        settings: what is set for its training, `NAME=VALUE`.
        run: key of the row whose run it scores again; its own run where None.
        after: what is set after training, such as post-processing.
        mode: what is scored of a run that can be scored in several modes.
        paper: printed figures by data set and metric. A metric that is missing was not printed; None is a figure that
            was printed but is lost in the copies of the paper that could be had.
        not_built: why this project has no such row, or None where it has.
    """

    key: str
    title: str
    settings: tuple[str, ...] = ()
    run: str | None = None
    after: tuple[str, ...] = ()
    mode: str | None = None
    paper: Mapping[str, Figures] = field(default_factory=dict)
    not_built: str | None = None


@dataclass(frozen=True)
class PaperTable:
    """A table.

    Args:
        name: on the command line.
        system: that is trained.
        title: what it compares.
        source: paper and table.
        metrics: names of the printed metrics, which the system's evaluator has.
        sets: data sets whose figures are printed, the one for cross-validation first.
        external: the set that was never trained on, or None.
        rows: in the paper's order.
        note: what a reader must know of the printed figures.
    """

    name: str
    system: str
    title: str
    source: str
    metrics: tuple[str, ...]
    sets: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    external: str | None = None
    note: str = ""

    def row(self, key: str) -> PaperRow:
        """Return a row by its key. Raises UsageError for an unknown one."""
        for row in self.rows:
            if row.key == key:
                return row
        keys = ", ".join(row.key for row in self.rows)
        raise UsageError(f"--rows {key}", got=f"no such row of {self.name}", expected=keys)

    def run_of(self, row: PaperRow) -> PaperRow:
        """Return the row whose run is scored: the row itself, or the one it names."""
        return row if row.run is None else self.row(row.run)

    @property
    def decided(self) -> set[str]:
        """Names of the settings that the rows decide."""
        return {setting.partition("=")[0] for row in self.rows for setting in (*row.settings, *row.after)}


def figures(names: tuple[str, ...], *values: float | None) -> Figures:
    """Return printed figures by metric; None is a lost one."""
    return dict(zip(names, values, strict=True))
