"""How a checkpoint is scored, image by image: all that `fundusrt evaluate`, which knows no system, asks of one.

Reports, intervals and comparisons are shared (`evaluate`, `evaluation_report`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fundusrt.errors import UsageError

__all__ = ["Evaluator", "Metric", "means"]

Figures = npt.NDArray[np.float64]
Picks = npt.NDArray[np.int64]


class NamedCase(Protocol):
    """An image of a data folder with its reference."""

    @property
    def name(self) -> str:
        """Unique in the folder."""
        ...


Case = TypeVar("Case", bound=NamedCase)
Score = TypeVar("Score")


@dataclass(frozen=True)
class Metric:
    """A figure of a report: its name in files, its heading on a screen and the digits shown there."""

    name: str
    heading: str
    digits: int = 4


class Evaluator(ABC, Generic[Case, Score]):
    """Scores one checkpoint.

    Attributes:
        metrics: in the order of a report; candidates are compared by the first.
        combined: how images make one figure: its `mean` over images, or the figure of all pixels `pooled`.
        note: what a reader of the figures must know, such as a unit.
        adjustable: beginnings of the settings that may still be changed after training.

    Args:
        config: the checkpoint's configuration, with such settings applied.
        modes: what to score: those that `modes` returned.
        state: the checkpoint's tensors.
        device: where the networks run.
        cache: where pre-processed images are kept.
    """

    metrics: ClassVar[tuple[Metric, ...]]
    combined: ClassVar[Literal["mean", "pooled"]] = "mean"
    note: ClassVar[str] = ""
    adjustable: ClassVar[tuple[str, ...]] = ("run.",)

    @abstractmethod
    def __init__(
        self, config: Any, modes: Sequence[str], state: dict[str, Tensor], device: torch.device, cache: Path
    ) -> None: ...

    @classmethod
    @abstractmethod
    def own_mode(cls, config: Any) -> str:
        """Return what a report calls the way this configuration was trained."""

    @classmethod
    def modes(cls, config: Any, asked: Sequence[str], subject: object) -> tuple[str, ...]:
        """Return the modes to score: the configuration's own where none is asked for.

        Raises:
            UsageError: a mode that this configuration was not trained in.
        """
        own = cls.own_mode(config)
        for mode in asked:
            if mode != own:
                raise UsageError(
                    f"--mode {mode}", got=f"{subject}, trained in mode {own}", expected=own, fix="leave --mode out"
                )
        return tuple(asked) or (own,)

    @classmethod
    @abstractmethod
    def cases(cls, data: Path, *, held_out: bool) -> list[Case]:
        """Return the images of a folder, sorted by name.

        Args:
            data: the folder.
            held_out: the images a training run would read, of which a fold will be taken, instead of a test part.

        Raises:
            InvalidInput: data that cannot be used.
        """

    @abstractmethod
    def score(self, case: Case) -> dict[str, Score]:
        """Return an image's scores by mode. Raises InvalidInput for an image that cannot be used."""

    @classmethod
    @abstractmethod
    def columns(cls, score: Score) -> dict[str, Any]:
        """Return an image's row of `per_image.csv`."""

    @classmethod
    def figures(cls, scores: Sequence[Score], picks: Picks) -> dict[str, Figures]:
        """Return every metric over several selections of images.

        Args:
            scores: of n images.
            picks: (R, n) indices; each row is a selection, in which an image may come several times.

        Returns:
            (R,) values by metric.
        """
        rows = [cls.columns(score) for score in scores]
        return means({metric.name: [row[metric.name] for row in rows] for metric in cls.metrics}, picks)

    @classmethod
    def counts(cls, scores: Sequence[Score]) -> dict[str, int]:
        """Return numbers worth knowing beside the metrics; none by default."""
        del scores
        return {}

    @classmethod
    def facts(cls, config: Any) -> dict[str, Any]:
        """Return the settings a reader of the figures needs; none by default."""
        del config
        return {}


def means(values: Mapping[str, Sequence[float]], picks: Picks) -> dict[str, Figures]:
    """Return the mean of one value an image over selections (R, n) of the n images, by metric."""
    return {name: np.asarray(each, np.float64)[picks].mean(axis=1) for name, each in values.items()}
