"""Cross-validation on one folder (the CMWNet paper uses five folds of its internal set)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from fundusrt.errors import InvalidInput, UsageError

__all__ = ["SplitConfig", "split"]

AnyCase = TypeVar("AnyCase")


@dataclass(frozen=True)
class SplitConfig:
    """Which part of the training folder is held out.

    Args:
        folds: number of parts.
        fold: index of the part that is held out for validation, or null to train on everything.
        seed: of the shuffle that makes the parts; it is not the run's, so that runs can share folds.
    """

    folds: int = 5
    fold: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise UsageError("split.folds", got=self.folds, expected="at least 2")
        if self.fold is not None and not 0 <= self.fold < self.folds:
            raise UsageError("split.fold", got=self.fold, expected=f"0 to {self.folds - 1}, or null")


def split(cases: Sequence[AnyCase], config: SplitConfig) -> tuple[list[AnyCase], list[AnyCase]]:
    """Return the cases to train on and the held-out ones, in the order given; all and none without a fold.

    Raises:
        InvalidInput: fewer cases than folds.
    """
    if config.fold is None:
        return list(cases), []
    if len(cases) < config.folds:
        raise InvalidInput(
            "split.folds",
            got=f"{config.folds} folds of {len(cases)} images",
            expected="an image for each fold",
            fix="lower split.folds",
        )
    order = np.random.default_rng((config.seed, 5)).permutation(len(cases))
    held_out = set(order[config.fold :: config.folds].tolist())
    return (
        [case for i, case in enumerate(cases) if i not in held_out],
        [case for i, case in enumerate(cases) if i in held_out],
    )
