"""One training run: data, module, Lightning trainer, run folder; started new or continued exactly."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from fundusrt.errors import UsageError
from fundusrt_training.checkpoints import installed_versions, load_checkpoint, read_metadata
from fundusrt_training.data.epoch_plan import EpochPlan
from fundusrt_training.data.folder import read_folder
from fundusrt_training.data.leakage import Batch, LeakagePairs, epoch_loader
from fundusrt_training.data.split import split
from fundusrt_training.data.working_image import WorkingImage, default_cache, file_sha256, prepare_all
from fundusrt_training.run_callbacks import KeepRun, RecordSteps, StopInTime, StopOnInterrupt, ValidateImages
from fundusrt_training.run_folder import RunFolder
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

__all__ = ["Limits", "resume", "train"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """When a run pauses before its last epoch; the schedule is not changed by them, and `resume` goes on.

    Args:
        steps: optimiser steps in total, or None.
        minutes: wall time of this call, or None.
    """

    steps: int | None = None
    minutes: float | None = None


def train(
    config: CmwnetConfig,
    data: Path,
    out: Path,
    *,
    val: Path | None = None,
    init: Sequence[Path] = (),
    cache: Path | None = None,
    limits: Limits | None = None,
    progress: bool = False,
) -> RunFolder:
    """Train a CMWNet in a new run folder.

    Args:
        config: the whole configuration.
        data: folder with `images/` and `masks/`.
        out: the run's folder.
        val: folder of validation images, or None.
        init: checkpoints whose weights the run begins with, a later one's branches in place of an earlier one's; the
            optimiser starts afresh.
        cache: where pre-processed images are kept; `default_cache()` where None.
        limits: where to pause.
        progress: show a progress bar.

    Raises:
        FundusRTError: data, configuration or folder that cannot be used; a loss that is not finite.
    """
    facts = {
        "system": "cmwnet",
        "data": str(data.resolve()),
        "val": None if val is None else str(val.resolve()),
        "init": [{"path": str(path.resolve()), "sha256": file_sha256(path)} for path in init],
        "versions": installed_versions(),
    }
    module = CmwnetModule(config)
    for path in init:
        if "training" in read_metadata(path):
            raise UsageError(
                f"--init {path}",
                got="a file to resume from, with the optimiser's state",
                expected="weights alone",
                fix="take last.safetensors or best.safetensors beside it",
            )
        state, before = load_checkpoint(path)
        module.start_from(state, CmwnetConfig.from_dict(before))
    images, references = _prepare(config, data, val, cache or default_cache())
    run = RunFolder.create(out, config, facts)
    _fit(run, module, images, references, -1.0, limits or Limits(), progress)
    return run


def resume(
    out: Path,
    *,
    data: Path | None = None,
    val: Path | None = None,
    cache: Path | None = None,
    limits: Limits | None = None,
    progress: bool = False,
) -> RunFolder:
    """Continue a run with the configuration and data it was started with; the result equals an uninterrupted run.

    Args:
        out: the run's folder.
        data: where the training data is now, or None for where it was.
        val: the same for the validation data.
        cache: see `train`.
        limits: see `train`.
        progress: see `train`.

    Raises:
        FundusRTError: no run to continue, or changed data.
    """
    run = RunFolder.open(out)
    config, facts = run.config(), run.facts()
    data = data or Path(facts["data"])
    val = val or (None if facts["val"] is None else Path(facts["val"]))
    images, references = _prepare(config, data, val, cache or default_cache())
    module = CmwnetModule(config)
    best = run.load_model(module)
    for name in ("metrics.csv", "validation.csv"):
        run.forget_after(name, module.progress.step)
    _fit(run, module, images, references, best, limits or Limits(), progress)
    return run


class EpochData(LightningDataModule):
    """Gives Lightning the rest of the module's current epoch.

    Args:
        module: knows where the run stands.
        plan: the windows of every epoch.
        pairs: the data set.
    """

    def __init__(self, module: CmwnetModule, plan: EpochPlan, pairs: LeakagePairs) -> None:
        super().__init__()
        self.module = module
        self.plan = plan
        self.pairs = pairs

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of the current epoch, from the next batch on."""
        at = self.module.progress
        return epoch_loader(self.pairs, self.plan, at.epoch, at.batch, self.module.config.run.workers)


class _RestoreOptimizer(Callback):
    """Puts the optimiser's state back once Lightning has made the optimiser."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.run.load_optimizer(trainer.optimizers[0], trainer.lr_scheduler_configs[0].scheduler)


def _prepare(
    config: CmwnetConfig, data: Path, val: Path | None, cache: Path
) -> tuple[list[WorkingImage], list[WorkingImage]]:
    spec = config.working_image_spec()
    cases, held_out = split(read_folder(data), config.split)
    if val is not None:
        if held_out:
            raise UsageError(
                "--val",
                got=f"split.fold {config.split.fold}",
                expected="either a validation folder or a fold",
                fix="leave --val out, or set split.fold null",
            )
        held_out = read_folder(val)
    images = prepare_all(cases, spec, cache, _report("training"))
    wanted = config.run.val_images or len(held_out)
    return images, prepare_all(held_out[:wanted], spec, cache, _report("validation"))


def _report(part: str) -> Callable[[int, int], None]:
    def report(done: int, count: int) -> None:
        if done % 50 == 0 or done == count:
            logger.info("%s images prepared: %d of %d", part, done, count)

    return report


def _fit(
    run: RunFolder,
    module: CmwnetModule,
    images: list[WorkingImage],
    references: list[WorkingImage],
    best: float,
    limits: Limits,
    progress: bool,
) -> None:
    config = module.config
    run.check_data({part: {i.name: i.sha256 for i in each} for part, each in (("train", images), ("val", references))})
    plan = EpochPlan(images, config.tile, config.run.seed, config.optim.batch, config.optim.steps_per_epoch)
    module.batches_per_epoch = plan.steps
    branches = {"cmwnet": ("tile", "whole"), "crop": ("tile",), "down": ("whole",)}[config.mode]
    pairs = LeakagePairs(images, config.preprocess_spec(), config.tile.size, config.aug, branches)
    at = module.progress
    if at.epoch >= config.optim.epochs or (limits.steps is not None and at.step >= limits.steps):
        raise UsageError(
            run.path,
            got=f"a run at epoch {at.epoch} of {config.optim.epochs}, step {at.step}",
            expected="epochs or steps left to train",
            fix="raise --max-steps" if at.epoch < config.optim.epochs else "start a new run with more optim.epochs",
        )
    logger.info(
        "%d images, %d tiles (%d with leakage), %d steps an epoch, %d epochs",
        len(images),
        plan.tiles,
        plan.tiles_with_leakage,
        plan.steps,
        config.optim.epochs,
    )
    validation = ValidateImages(run, references, config.run.val_every, best) if references else None
    callbacks: list[Any] = [RecordSteps(run, config.run.log_every)]
    if validation is not None:
        callbacks.append(validation)
    callbacks += [KeepRun(run, config.run.save_every, validation), StopOnInterrupt()]
    if limits.minutes is not None:
        callbacks.append(StopInTime(limits.minutes))
    if progress:
        callbacks.append(TQDMProgressBar())
    if at.step:
        callbacks.append(_RestoreOptimizer(run))
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=config.optim.epochs - at.epoch,
        max_steps=-1 if limits.steps is None else limits.steps - at.step,
        min_epochs=0,
        gradient_clip_val=config.optim.grad_clip,
        reload_dataloaders_every_n_epochs=1,  # the plan of each epoch is its own loader
        logger=TensorBoardLogger(run.path, name="", version="tensorboard"),
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )
    with warnings.catch_warnings():
        # Lightning advises more loader processes; the loader only copies windows out of memory maps.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning 2.6 uses a class that torch 2.13 renames.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        trainer.fit(module, datamodule=EpochData(module, plan, pairs))
