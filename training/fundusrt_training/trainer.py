"""One training run of any system: task, Lightning trainer, run folder; started new or continued exactly."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch.multiprocessing.spawn import ProcessException
from torch.utils.data import DataLoader

from fundusrt.errors import UsageError
from fundusrt_training.checkpoints import installed_versions, load_checkpoint, read_metadata
from fundusrt_training.data.working_image import default_cache, file_sha256
from fundusrt_training.errors import ResumeError
from fundusrt_training.hardware import Hardware, LogFromWorker, check_hardware, make_strategy, worker_error
from fundusrt_training.rank_share import rank_share
from fundusrt_training.run_callbacks import (
    CompileNetworks,
    KeepRun,
    RecordSteps,
    StopInTime,
    StopOnInterrupt,
    ValidateImages,
)
from fundusrt_training.run_folder import RunFolder
from fundusrt_training.systems.registry import make_task
from fundusrt_training.systems.task import Task

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
    config: Any,
    data: Path,
    out: Path,
    *,
    val: Path | None = None,
    init: Sequence[Path] = (),
    cache: Path | None = None,
    limits: Limits | None = None,
    hardware: Hardware | None = None,
    progress: bool = False,
) -> RunFolder:
    """Train a system in a new run folder.

    Args:
        config: the whole configuration; its class says which system.
        data: folder of images and masks, in a layout the system reads.
        out: the run's folder.
        val: folder of validation images, or None.
        init: checkpoints whose weights the run begins with, a later one's branches in place of an earlier one's; the
            optimiser starts afresh.
        cache: where pre-processed images are kept; `default_cache()` where None.
        limits: where to pause.
        hardware: one device, whichever there is, where None.
        progress: show a progress bar.

    Raises:
        FundusRTError: data, configuration or folder that cannot be used; a loss that is not finite.
    """
    task = make_task(config)
    check_hardware(task, hardware or Hardware())
    facts = {
        "system": task.system,
        "data": str(data.resolve()),
        "val": None if val is None else str(val.resolve()),
        "init": [{"path": str(path.resolve()), "sha256": file_sha256(path)} for path in init],
        "versions": installed_versions(),
    }
    for path in init:
        before = read_metadata(path)
        if "training" in before:
            raise UsageError(
                f"--init {path}",
                got="a file to resume from, with the optimiser's state",
                expected="weights alone",
                fix="take last.safetensors or best.safetensors beside it",
            )
        if before["system"] == task.system:
            task.start_from(*load_checkpoint(path))
        else:
            task.start_from_other(before["system"], *load_checkpoint(path))
    task.prepare(data, val, cache or default_cache())
    run = RunFolder.create(out, config, facts)
    _fit(run, task, -1.0, limits or Limits(), hardware or Hardware(), progress)
    return run


def resume(
    out: Path,
    *,
    system: str | None = None,
    data: Path | None = None,
    val: Path | None = None,
    cache: Path | None = None,
    limits: Limits | None = None,
    hardware: Hardware | None = None,
    progress: bool = False,
) -> RunFolder:
    """Continue a run with the configuration and data it was started with; the result equals an uninterrupted run.

    Args:
        out: the run's folder.
        system: the system it must be of, or None for any.
        data: where the training data is now, or None for where it was.
        val: the same for the validation data.
        cache: see `train`.
        limits: see `train`.
        hardware: see `train`; it need not be the one the run was started on.
        progress: see `train`.

    Raises:
        FundusRTError: no run to continue, or changed data.
    """
    run = RunFolder.open(out)
    task, facts = make_task(run.config()), run.facts()
    if system is not None and system != task.system:
        raise ResumeError(out, got=f"a run of {task.system}", expected=system, fix=f"train {task.system} --resume")
    check_hardware(task, hardware or Hardware())
    data = data or Path(facts["data"])
    val = val or (None if facts["val"] is None else Path(facts["val"]))
    task.prepare(data, val, cache or default_cache())
    best = run.load_model(task.module)
    for name in ("metrics.csv", "validation.csv"):
        run.forget_after(name, task.module.progress.step)
    _fit(run, task, best, limits or Limits(), hardware or Hardware(), progress)
    return run


class EpochData(LightningDataModule):
    """Gives Lightning the rest of the current epoch, or this process's share of it.

    Args:
        task: knows the data and where the run stands.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the current epoch, from the next batch on."""
        module = self.task.module
        at = module.progress
        loader = self.task.loader(at.epoch, at.batch)
        if not isinstance(self.trainer, Trainer) or self.trainer.world_size == 1:
            return loader
        loader, module.loss_weights = rank_share(loader, self.trainer.global_rank, self.trainer.world_size)
        return loader


class _RestoreOptimizer(Callback):
    """Puts the optimiser's state back once Lightning has made the optimiser."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.run.load_optimizer(trainer.optimizers[0], trainer.lr_scheduler_configs[0].scheduler)


def _fit(run: RunFolder, task: Task, best: float, limits: Limits, hardware: Hardware, progress: bool) -> None:
    config, module = task.config, task.module
    run.check_data(task.hashes())
    module.batches_per_epoch = task.steps_per_epoch
    at = module.progress
    if at.epoch >= config.optim.epochs or (limits.steps is not None and at.step >= limits.steps):
        raise UsageError(
            run.path,
            got=f"a run at epoch {at.epoch} of {config.optim.epochs}, step {at.step}",
            expected="epochs or steps left to train",
            fix="raise --max-steps" if at.epoch < config.optim.epochs else "start a new run with more optim.epochs",
        )
    # Importing Lightning sets its own level; what it says at INFO are advertisements and device listings.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logger.info("%s, %d steps an epoch, %d epochs", task.summary(), task.steps_per_epoch, config.optim.epochs)
    validation = ValidateImages(run, task, config.run.val_every, best) if task.can_validate else None
    callbacks: list[Any] = [RecordSteps(run, config.run.log_every)]
    if validation is not None:
        callbacks.append(validation)
    callbacks += [KeepRun(run, config.run.save_every, validation), StopOnInterrupt()]
    if config.run.compile is not None:
        callbacks.append(CompileNetworks(config.run.compile))
    if limits.minutes is not None:
        callbacks.append(StopInTime(limits.minutes))
    if progress:
        callbacks.append(TQDMProgressBar())
    if at.step:
        callbacks.append(_RestoreOptimizer(run))
    if hardware.devices > 1:
        callbacks.append(LogFromWorker())
    trainer = Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        strategy=make_strategy(hardware),
        use_distributed_sampler=False,  # the plan is shared by `EpochData`
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
        # Loader processes cannot outlive an epoch: its plan is its own loader.
        warnings.filterwarnings("ignore", message=".*persistent_workers.*")
        # Lightning 2.6 uses a class that torch 2.13 renames.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        try:
            trainer.fit(module, datamodule=EpochData(task))
        except ProcessException as error:
            raise worker_error(run.path, error) from error
