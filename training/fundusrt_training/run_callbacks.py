"""What happens around the training steps: recording, validation by the deployed pipeline, saving, stopping in time."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard.writer import SummaryWriter

from fundusrt.preprocess import nearest_index
from fundusrt_training.data.working_image import WorkingImage
from fundusrt_training.inference import branch_maps, combine, torch_pipeline
from fundusrt_training.metrics import dice
from fundusrt_training.run_folder import RunFolder
from fundusrt_training.systems.cmwnet import CmwnetModule

__all__ = ["KeepRun", "RecordSteps", "StopInTime", "StopOnInterrupt", "ValidateImages"]

logger = logging.getLogger(__name__)


class RecordSteps(Callback):
    """Writes losses, learning rate and beta of each step to `metrics.csv` and TensorBoard.

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
        module = _cmwnet(pl_module)
        step = module.progress.step
        if step % self.every:
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
    """Scores validation images by the deployed pipeline at the original resolution; keeps the best weights.

    Args:
        run: the run's folder.
        images: validation images, already limited to those wanted.
        every: epochs between validations; the last epoch is always scored.
        best: best mean Dice so far.
    """

    def __init__(self, run: RunFolder, images: Sequence[WorkingImage], every: int, best: float) -> None:
        self.run = run
        self.images = images
        self.every = every
        self.best = best
        self._last_step = -1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score when an epoch is complete and its turn has come."""
        at = _cmwnet(pl_module).progress
        if at.batch == 0 and at.epoch % self.every == 0:
            self.validate(trainer, _cmwnet(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the final weights."""
        if self._last_step != _cmwnet(pl_module).progress.step:
            self.validate(trainer, _cmwnet(pl_module))

    def validate(self, trainer: Trainer, module: CmwnetModule) -> None:
        """Score every image, write a row, and save the weights when they are the best so far."""
        config, step = module.config, module.progress.step
        self._last_step = step
        pipeline = torch_pipeline(config, module.large, module.small)
        threshold = np.float32(config.infer.threshold)
        started = time.perf_counter()
        scores: list[float] = []
        for index, image in enumerate(self.images):
            maps = branch_maps(pipeline, config.mode, image.whole, image.grid, image.height, image.width)
            p = combine(pipeline, config.mode, maps, image.original_fov)
            prediction, reference = p >= threshold, image.original_mask
            scores.append(dice(prediction, reference))
            writer = _tensorboard(trainer)
            if index == 0 and writer is not None:
                picture = overlay(image.whole, _reduce(prediction, len(image.whole)), image.whole_mask.astype(bool))
                writer.add_image("validation/overlay", picture, step, dataformats="HWC")
        mean = float(np.mean(scores))
        row = {"step": step, "epoch": module.progress.epoch, "dice": mean, "seconds": time.perf_counter() - started}
        self.run.append_row(
            "validation.csv", row | {image.name: score for image, score in zip(self.images, scores, strict=True)}
        )
        writer = _tensorboard(trainer)
        if writer is not None:
            writer.add_scalar("validation/dice", mean, step)
        logger.info("step %d: validation Dice %.4f on %d images", step, mean, len(scores))
        if mean > self.best:
            self.best = mean
            self.run.save_weights("best", module, validation={"dice": mean, "images": len(scores)})


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
            self.save(trainer, _cmwnet(pl_module))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save when an epoch is complete and its turn has come."""
        at = _cmwnet(pl_module).progress
        if at.batch == 0 and at.epoch % self.every == 0:
            self.save(trainer, _cmwnet(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the final state."""
        self.save(trainer, _cmwnet(pl_module))

    def save(self, trainer: Trainer, module: CmwnetModule) -> None:
        """Write both files."""
        self._saved_at = time.monotonic()
        best = -1.0 if self.validation is None else self.validation.best
        if self._saved_step != module.progress.step:
            self.run.save_weights("last", module)
        self._saved_step = module.progress.step
        scheduler = trainer.lr_scheduler_configs[0].scheduler
        self.run.save_resume(module, trainer.optimizers[0], scheduler, best)


class StopInTime(Callback):
    """Asks the trainer to stop after the step that passes a time limit.

    Args:
        minutes: wall time from the first step on.
    """

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes
        self._deadline = float("inf")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + 60 * self.minutes

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the clock."""
        if time.monotonic() >= self._deadline and not trainer.should_stop:
            logger.info("stopping after %g minutes", self.minutes)
            trainer.should_stop = True


class StopOnInterrupt(Callback):
    """Turns the first Ctrl-C (or SIGTERM) into a stop after the current step, all saved; the second one kills."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the signals, where Python allows it."""

        def stop(number: int, frame: FrameType | None) -> None:
            logger.warning("stopping after this step; once more to stop at once and lose it")
            trainer.should_stop = True
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


def overlay(
    whole: npt.NDArray[np.uint8], prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) RGB: hits yellow, false alarms red, misses green, over the dimmed image."""
    picture = np.repeat(whole[..., None], 3, axis=2) if whole.ndim == 2 else whole.copy()
    picture = (picture * 0.6).astype(np.uint8)
    picture[..., 0][prediction] = 255
    picture[..., 1][reference] = 255
    return picture


def _reduce(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.bool_]:
    return mask[nearest_index(mask.shape[0], size)][:, nearest_index(mask.shape[1], size)]


def _epoch_of_last_step(module: CmwnetModule) -> int:
    at = module.progress
    return at.epoch - 1 if at.batch == 0 else at.epoch


def _tensorboard(trainer: Trainer) -> SummaryWriter | None:
    for each in trainer.loggers:
        if isinstance(each, TensorBoardLogger):
            return each.experiment
    return None


def _cmwnet(module: LightningModule) -> CmwnetModule:
    if not isinstance(module, CmwnetModule):
        raise TypeError(f"these callbacks belong to CmwnetModule, not {type(module).__name__}")
    return module
