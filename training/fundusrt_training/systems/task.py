"""A system with its data: all that the trainer, which knows no system, asks of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import DataLoader

from fundusrt.errors import UsageError
from fundusrt_training.systems.resumable import ResumableModule

__all__ = ["Task", "Validation", "refuse_two_validations"]


@dataclass(frozen=True)
class Validation:
    """What one validation found.

    Attributes:
        metric: name of the score; higher is better.
        score: over all images.
        images: further numbers by image name, for the record.
        picture: (H, W, 3) uint8 RGB of the first image, or None.
        further: more numbers over all images by name, for the record.
    """

    metric: str
    score: float
    images: dict[str, float]
    picture: npt.NDArray[np.uint8] | None = None
    further: dict[str, float] = field(default_factory=dict)


class Task(ABC):
    """One system's configuration, module and data.

    Attributes:
        system: its name, as on the command line.
        config: frozen dataclass with `run`, `optim.epochs`, `optim.grad_clip`, `split` and `to_dict`.
        divisible: whether several processes may share a step: its loss is a mean over the images of its batch, with
            nothing, such as batch normalisation, that depends on all of them.
    """

    system: str
    config: Any
    divisible: bool = False

    @property
    @abstractmethod
    def module(self) -> ResumableModule:
        """What is trained."""

    @abstractmethod
    def start_from(self, state: dict[str, Tensor], config: dict[str, Any]) -> None:
        """Begin with the weights of another run and its configuration. Raises UsageError where they do not fit."""

    def start_from_other(self, system: str, state: dict[str, Tensor], config: dict[str, Any]) -> None:
        """Begin with the weights of another system's run.

        Raises:
            UsageError: this system has no use for them.
        """
        del state, config
        raise UsageError(
            "--init",
            got=f"weights of system {system}",
            expected=self.system,
            fix=f"give a checkpoint of `fundusrt train {self.system}`",
        )

    @abstractmethod
    def prepare(self, data: Path, val: Path | None, cache: Path) -> None:
        """Read the data. Raises FundusRTError where it cannot be used."""

    @abstractmethod
    def hashes(self) -> dict[str, dict[str, Any]]:
        """Return the SHA-256 of every file of the data, by part and image name."""

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""

    @abstractmethod
    def summary(self) -> str:
        """Return one line about the data, for the log."""

    @abstractmethod
    def loader(self, epoch: int, start: int) -> DataLoader[Any]:
        """Return the batches of an epoch from batch `start` on; a function of the seed."""

    @property
    @abstractmethod
    def can_validate(self) -> bool:
        """Whether there are validation images."""

    @abstractmethod
    def validate(self) -> Validation:
        """Score the module as it stands, as it would be deployed."""


def refuse_two_validations(val: Path | None, fold: int | None) -> None:
    """Raise UsageError where both a validation folder and a fold are asked for."""
    if val is not None and fold is not None:
        raise UsageError(
            "--val",
            got=f"split.fold {fold}",
            expected="either a validation folder or a fold",
            fix="leave --val out, or set split.fold null",
        )
