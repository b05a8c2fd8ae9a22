"""The vessel system's data: framed photographs, each once an epoch; validation by AUC inside the field of view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from fundusrt.errors import InvalidInput
from fundusrt_training.data.framed_eye import FramedEye, frame_eyes
from fundusrt_training.data.planned_loader import planned_loader, shuffled_passes
from fundusrt_training.data.split import split
from fundusrt_training.data.vessels import read_vessels
from fundusrt_training.data.vessels.crops import CropDraw, VesselBatch, VesselCrops
from fundusrt_training.overlay import overlay
from fundusrt_training.systems.initial_weights import refuse_other_network
from fundusrt_training.systems.preparation_log import log_preparation
from fundusrt_training.systems.task import Task, Validation, refuse_two_validations
from fundusrt_training.systems.vessel import VesselModule
from fundusrt_training.systems.vessel_config import VesselConfig
from fundusrt_training.systems.vessel_evaluator import find_vessels
from fundusrt_training.vessel_metrics import VesselScores, vessel_scores

__all__ = ["VesselTask"]


class VesselTask(Task):
    """AG-Net alone.

    Args:
        config: the whole configuration.
    """

    system = "vessel"
    config: VesselConfig

    def __init__(self, config: VesselConfig) -> None:
        self.config = config
        self._module = VesselModule(config)
        self._eyes: list[FramedEye] = []
        self._references: list[FramedEye] = []

    @property
    def module(self) -> VesselModule:
        """The network and its objective."""
        return self._module

    def start_from(self, state: dict[str, Tensor], config: dict[str, Any]) -> None:
        """Begin with another run's network."""
        refuse_other_network(VesselConfig.from_dict(config).net, self.config.net, "net")
        self.module.load_weights(state)

    def prepare(self, data: Path, val: Path | None, cache: Path) -> None:
        """Frame every photograph, or take it from the cache."""
        config = self.config
        refuse_two_validations(val, config.split.fold)
        files, held_out = split(read_vessels(data), config.split)
        if val is not None:
            held_out = read_vessels(val, "test")
        if config.data.passes * len(files) < config.data.batch:
            raise InvalidInput(
                data,
                got=f"{len(files)} training images",
                expected=f"at least one batch, {config.data.batch}",
                fix="lower data.batch, or raise data.passes",
            )
        wanted = config.run.val_images or len(held_out)
        side = config.data.side
        self._eyes = frame_eyes(files, side, cache, log_preparation("training"))
        self._references = frame_eyes(held_out[:wanted], side, cache, log_preparation("validation"))
        self._crops = VesselCrops(self._eyes, config.data.crop or side, config.aug)

    def hashes(self) -> dict[str, dict[str, Any]]:
        """Return the hashes of photographs and masks."""
        parts = (("train", self._eyes), ("val", self._references))
        return {part: {eye.name: eye.sha256 for eye in eyes} for part, eyes in parts}

    @property
    def steps_per_epoch(self) -> int:
        """Every photograph `passes` times; the last, incomplete batch is dropped."""
        return self.config.data.passes * len(self._eyes) // self.config.data.batch

    def summary(self) -> str:
        """Return the number of photographs."""
        return f"{len(self._eyes)} images, {len(self._references)} for validation"

    def loader(self, epoch: int, start: int) -> DataLoader[VesselBatch]:
        """Return a crop of each photograph, in the epoch's own order."""
        seed, batch = self.config.run.seed, self.config.data.batch
        order = shuffled_passes(len(self._eyes), self.config.data.passes, (seed, 1, epoch))
        draws = [CropDraw(int(eye), (seed, 2, epoch, place)) for place, eye in enumerate(order)]
        batches = [draws[i * batch : (i + 1) * batch] for i in range(start, self.steps_per_epoch)]
        return planned_loader(self._crops, batches, self.config.run.workers)

    @property
    def can_validate(self) -> bool:
        """Whether there are validation images."""
        return bool(self._references)

    def validate(self) -> Validation:
        """Return the mean over images of the AUC inside the field of view, of whole frames."""
        found: dict[str, VesselScores] = {}
        picture = None
        for eye in self._references:
            p, reference, fov = find_vessels(self.module, eye)
            found[eye.name] = vessel_scores(p, reference, fov)
            if picture is None:
                picture = overlay(eye.read()[0], (p >= np.float32(0.5)) & fov, reference)
        further = {name: float(np.mean([getattr(each, name) for each in found.values()])) for name in ("dice", "iou")}
        scores = {name: each.auc for name, each in found.items()}
        return Validation("auc", float(np.mean(list(scores.values()))), scores, picture, further)
