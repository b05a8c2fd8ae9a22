"""Where a run computes: one device, or several that share each step through PyTorch's DistributedDataParallel."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch.multiprocessing.spawn import ProcessException

from fundusrt.errors import FundusRTError, UsageError
from fundusrt_training.errors import TrainingDiverged, WorkerFailed
from fundusrt_training.systems.task import Task

__all__ = ["Hardware", "LogFromWorker", "check_hardware", "make_strategy", "worker_error"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hardware:
    """Where a run computes. Several devices share each batch; the result differs from one device's by rounding alone.

    Args:
        accelerator: `auto`, `cpu` or `gpu`.
        devices: GPUs, or processes on the CPU; `optim.batch` is that of all together.
    """

    accelerator: str = "auto"
    devices: int = 1


def check_hardware(task: Task, hardware: Hardware) -> None:
    """Raise UsageError for devices that are not there, or that cannot share a step of this system."""
    gpus, wanted = torch.accelerator.device_count(), hardware.devices
    on_gpu = hardware.accelerator == "gpu" or (hardware.accelerator == "auto" and gpus > 0)
    if on_gpu and wanted > gpus:
        raise UsageError(
            f"--accelerator {hardware.accelerator} --devices {wanted}",
            got=f"{gpus} GPUs that PyTorch can use",
            expected=f"at least {wanted}",
            fix="use --accelerator cpu" if gpus == 0 else f"use --devices {gpus}",
        )
    if wanted > 1 and not task.divisible:
        raise UsageError(
            f"--devices {wanted}",
            got=f"system {task.system}, whose step is not a mean over the images of its batch",
            expected="1 device: several would train something else",
            fix="leave --devices out",
        )


def make_strategy(hardware: Hardware) -> str | Strategy:
    """Return how processes work together.

    They are spawned from here, when everything is prepared and the run's folder is made; the alternative, starting the
    command anew in each, would do both once for each process.
    """
    if hardware.devices == 1:
        return "auto"
    return DDPStrategy(start_method="spawn", timeout=timedelta(hours=12))  # others wait while rank zero validates


class LogFromWorker(Callback):
    """Lets rank zero log as this process does; a spawned process begins without."""

    def __init__(self) -> None:
        self.level = logging.getLogger().level

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set up the worker's logging."""
        if trainer.is_global_zero:
            logging.basicConfig(level=self.level, format="%(message)s")
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def worker_error(run: Path, error: ProcessException) -> FundusRTError:
    """Return what a process failed of: only the text of its traceback, or its signal, arrives here."""
    logger.error("%s", error)
    last = str(error).strip().splitlines()[-1]
    kind, _, text = last.partition(": ")
    if kind.rpartition(".")[2] == TrainingDiverged.__name__:
        return TrainingDiverged(text)
    return WorkerFailed(run, got=last, expected="training in every process", fix="see the messages above")
