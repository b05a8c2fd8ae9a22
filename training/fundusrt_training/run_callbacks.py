"""What happens around the training steps: recording, validation, saving, stopping in time."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard.writer import SummaryWriter

from fundusrt_training.run_folder import RunFolder
from fundusrt_training.systems.resumable import ResumableModule
from fundusrt_training.systems.task import Task

__all__ = ["CompileNetworks", "KeepRun", "RecordSteps", "StopInTime", "StopOnInterrupt", "ValidateImages"]

logger = logging.getLogger(__name__)


class CompileNetworks(Callback):
    """Has `torch.compile` prepare each network, in the process that trains it; names of weights stay.

    Args:
        backend: name of the compiler.
    """

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask for it; the work is done at the first step."""
        for network in _resumable(pl_module).parts().values():
            network.compile(backend=self.backend)


class RecordSteps(Callback):
    """Writes what each step reports to `metrics.csv` and TensorBoard.

    Args:
        run: the run's folder.
        every: steps between rows.
    """

    def __init__(self, run: RunFolder, every: int) -> None:
        self.run = run
        self.every = every
        self._started = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a row."""
        module = _resumable(pl_module)
        step = module.progress.step
        if step % self.every or not trainer.is_global_zero:
            return
        seconds = time.perf_counter() - self._started
        self.run.append_row(
            "metrics.csv", {"step": step, "epoch": _epoch_of_last_step(module)} | module.values | {"seconds": seconds}
        )
        writer = _tensorboard(trainer)
        if writer is not None:
            for name, value in module.values.items():
                writer.add_scalar(f"train/{name}", value, step)


class ValidateImages(Callback):
    """Scores the validation images, records the scores and keeps the best weights.

    Args:
        run: the run's folder.
        task: knows the images and how they are scored.
        every: epochs between validations; the last epoch is always scored.
        best: best score so far.
    """

    def __init__(self, run: RunFolder, task: Task, every: int, best: float) -> None:
        self.run = run
        self.task = task
        self.every = every
        self.best = best
        self._last_step = -1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score when an epoch is complete and its turn has come."""
        at = _resumable(pl_module).progress
        if at.batch == 0 and at.epoch % self.every == 0:
            self.validate(trainer, _resumable(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the final weights."""
        if self._last_step != _resumable(pl_module).progress.step:
            self.validate(trainer, _resumable(pl_module))

    def validate(self, trainer: Trainer, module: ResumableModule) -> None:
        """Score every image, write a row, and save the weights when they are the best so far; on rank zero."""
        step = module.progress.step
        self._last_step = step
        if not trainer.is_global_zero:
            return
        started = time.perf_counter()
        found = self.task.validate()
        seconds = time.perf_counter() - started
        row = {"step": step, "epoch": module.progress.epoch, found.metric: found.score, "seconds": seconds}
        self.run.append_row("validation.csv", row | found.further | found.images)
        writer = _tensorboard(trainer)
        if writer is not None:
            for name, value in {found.metric: found.score, **found.further}.items():
                writer.add_scalar(f"validation/{name}", value, step)
            if found.picture is not None:
                writer.add_image("validation/overlay", found.picture, step, dataformats="HWC")
        logger.info("step %d: validation %s %.4f on %d images", step, found.metric, found.score, len(found.images))
        if found.score > self.best:
            self.best = found.score
            facts = {found.metric: found.score, "images": len(found.images)}
            self.run.save_weights("best", module, validation=facts)


class KeepRun(Callback):
    """Writes `last` and `resume` at the end of an epoch, after `minutes` without, and at the end.

    Args:
        run: the run's folder.
        every: epochs between saves.
        minutes: longest time between saves.
        validation: holds the best score, or None without validation images.
    """

    def __init__(self, run: RunFolder, every: int, validation: ValidateImages | None, minutes: float = 10.0) -> None:
        self.run = run
        self.every = every
        self.minutes = minutes
        self.validation = validation
        self._saved_at = time.monotonic()
        self._saved_step = -1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save in the middle of a long epoch."""
        if time.monotonic() - self._saved_at > 60 * self.minutes:
            self.save(trainer, _resumable(pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save when an epoch is complete and its turn has come."""
        at = _resumable(pl_module).progress
        if at.batch == 0 and at.epoch % self.every == 0:
            self.save(trainer, _resumable(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the final state."""
        self.save(trainer, _resumable(pl_module))

    def save(self, trainer: Trainer, module: ResumableModule) -> None:
        """Write both files; on rank zero."""
        self._saved_at = time.monotonic()
        if not trainer.is_global_zero:
            return
        best = -1.0 if self.validation is None else self.validation.best
        if self._saved_step != module.progress.step:
            self.run.save_weights("last", module)
        self._saved_step = module.progress.step
        scheduler = trainer.lr_scheduler_configs[0].scheduler
        self.run.save_resume(module, trainer.optimizers[0], scheduler, best)


class _Stop(Callback):
    """Stops training after a step once it is `wanted` in any process: all of them stop after the same step."""

    def __init__(self) -> None:
        self.wanted = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask the other processes."""
        if trainer.strategy.reduce_boolean_decision(self.wanted, all=False):
            trainer.should_stop = True


class StopInTime(_Stop):
    """Asks the trainer to stop after the step that passes a time limit.

    Args:
        minutes: wall time from the first step on.
    """

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self.minutes = minutes
        self._deadline = float("inf")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + 60 * self.minutes

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the clock."""
        if time.monotonic() >= self._deadline and not self.wanted:
            logger.info("stopping after %g minutes", self.minutes)
            self.wanted = True
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


class StopOnInterrupt(_Stop):
    """Turns the first Ctrl-C (or SIGTERM) into a stop after the current step, all saved; the second one kills."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the signals, where Python allows it."""

        def stop(number: int, frame: FrameType | None) -> None:
            logger.warning("stopping after this step; once more to stop at once and lose it")
            self.wanted = True
            self._restore()

        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def _epoch_of_last_step(module: ResumableModule) -> int:
    at = module.progress
    return at.epoch - 1 if at.batch == 0 else at.epoch


def _tensorboard(trainer: Trainer) -> SummaryWriter | None:
    for each in trainer.loggers:
        if isinstance(each, TensorBoardLogger):
            return each.experiment
    return None


def _resumable(module: LightningModule) -> ResumableModule:
    if not isinstance(module, ResumableModule):
        raise TypeError(f"these callbacks belong to ResumableModule, not {type(module).__name__}")
    return module
