"""What every training system shares: where the run stands, a guard against NaN, weights by part.

All random draws of a run are functions of its seed and of its progress, so a run that stops anywhere goes on exactly.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from fundusrt.errors import InvalidInput
from fundusrt_training.errors import TrainingDiverged

__all__ = ["Progress", "ResumableModule", "part_of"]


@dataclass
class Progress:
    """Where a run stands: epoch, next batch of that epoch, optimiser steps taken. All random draws follow from it."""

    epoch: int = 0
    batch: int = 0
    step: int = 0


class ResumableModule(LightningModule, ABC):
    """A Lightning module that counts its own progress and whose loss must be finite.

    Subclasses give `label`, `parts`, `step_losses` and `configure_optimizers`.

    Attributes:
        config: the system's configuration, with `to_dict`.
        progress: where the run stands.
        batches_per_epoch: set by the trainer.
        values: terms of the last step's loss, learning rate and what else the step reports.
        loss_weights: weight of this process's loss in each batch of its loader, where it is one of several.
    """

    config: Any

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress()
        self.batches_per_epoch = 0
        self.values: dict[str, float] = {}
        self.loss_weights: list[float] = []

    @property
    @abstractmethod
    def label(self) -> str:
        """What a message calls this module."""

    @abstractmethod
    def parts(self) -> dict[str, nn.Module]:
        """Return the networks a checkpoint holds, by the first part of their weights' names."""

    @abstractmethod
    def step_losses(self, batch: Any) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return the terms of this step's loss, `loss` the one to minimise, and further numbers to report."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss; refuse to go on when it is not finite."""
        terms, further = self.step_losses(batch)
        weight = self.loss_weights[batch_idx] if self.loss_weights else 1.0
        self.values = self._over_ranks(terms, weight)
        self.values["lr"] = float(cast(torch.optim.Optimizer, self.optimizers()).param_groups[0]["lr"])
        self.values |= further
        if not math.isfinite(self.values["loss"]):
            raise TrainingDiverged(
                f"loss at step {self.progress.step} (epoch {self.progress.epoch}, batch {self.progress.batch})",
                got=", ".join(f"{name} {value:g}" for name, value in self.values.items()),
                expected=f"finite values; the batch was {', '.join(batch['name'])}",
                fix="lower optim.lr, or set optim.grad_clip 1.0",
            )
        self.log("loss", terms["loss"], prog_bar=True, logger=False, batch_size=len(batch["name"]))
        return terms["loss"] * weight if self.loss_weights else terms["loss"]

    def _over_ranks(self, terms: dict[str, Tensor], weight: float) -> dict[str, float]:
        """Return the terms of the whole batch's loss: this process's own, or the weighted mean over all processes."""
        # together: on a GPU, each number that is read waits for all work before it
        values = torch.stack([value.detach().float() for value in terms.values()])
        if self.loss_weights:
            values = cast(Tensor, self.trainer.strategy.reduce(values * weight, reduce_op="mean"))
        return dict(zip(terms, values.tolist(), strict=True))

    def before_step(self) -> None:
        """Do what a system does before an optimiser step."""

    def after_step(self) -> None:
        """Do what a system does after an optimiser step that is already counted but for its epoch's end."""

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step the optimiser and count."""
        self.before_step()
        super().optimizer_step(*args, **kwargs)
        at = self.progress
        at.step += 1
        at.batch += 1
        self.after_step()
        if at.batch == self.batches_per_epoch:
            at.epoch, at.batch = at.epoch + 1, 0

    def weights(self) -> dict[str, Tensor]:
        """Return the state a checkpoint holds: `PART.name` of every part."""
        return {
            f"{part}.{name}": value
            for part, network in self.parts().items()
            for name, value in network.state_dict().items()
        }

    def load_weights(self, state: dict[str, Tensor]) -> None:
        """Load what `weights` returned.

        Raises:
            InvalidInput: names or shapes that do not fit this configuration.
        """
        own = self.weights()
        wrong = sorted(set(own) ^ set(state)) or [n for n in own if own[n].shape != state[n].shape]
        if wrong:
            raise InvalidInput(
                f"weights for {self.label}",
                got=f"{len(wrong)} tensors that do not fit, first {wrong[0]}",
                expected=f"{len(own)} tensors of the configuration's shapes",
                fix="use the configuration they were saved with",
            )
        for part, network in self.parts().items():
            network.load_state_dict(part_of(state, part))


def part_of(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the weights of one part under their own names."""
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
