"""CMWNet's data: pre-processed working images, windows planned epoch by epoch, validation by the deployed pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from fundusrt_training.data.epoch_plan import EpochPlan
from fundusrt_training.data.folder import read_folder
from fundusrt_training.data.leakage import Batch, LeakagePairs, epoch_loader
from fundusrt_training.data.split import split
from fundusrt_training.data.working_image import WorkingImage, prepare_all
from fundusrt_training.inference import branch_maps, combine, torch_pipeline
from fundusrt_training.metrics import dice
from fundusrt_training.overlay import overlay
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.systems.preparation_log import log_preparation
from fundusrt_training.systems.task import Task, Validation, refuse_two_validations

__all__ = ["CmwnetTask"]

_BRANCHES = {"cmwnet": ("tile", "whole"), "crop": ("tile",), "down": ("whole",)}


class CmwnetTask(Task):
    """CMWNet, or one of its branches.

    Args:
        config: the whole configuration.
    """

    system = "cmwnet"
    divisible = True
    config: CmwnetConfig

    def __init__(self, config: CmwnetConfig) -> None:
        self.config = config
        self._module = CmwnetModule(config)
        self._images: list[WorkingImage] = []
        self._references: list[WorkingImage] = []

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process: without open memory maps, which would travel with all they hold."""
        for image in (*self._images, *self._references):
            for name in ("grid", "whole", "mask", "whole_mask"):
                image.__dict__.pop(name, None)  # opened again on first use
        return dict(vars(self))

    @property
    def module(self) -> CmwnetModule:
        """The networks and their objective."""
        return self._module

    def start_from(self, state: dict[str, Tensor], config: dict[str, Any]) -> None:
        """Begin with the branches another run has."""
        self.module.start_from(state, CmwnetConfig.from_dict(config))

    def prepare(self, data: Path, val: Path | None, cache: Path) -> None:
        """Pre-process every image, or take it from the cache."""
        config, spec = self.config, self.config.working_image_spec()
        refuse_two_validations(val, config.split.fold)
        cases, held_out = split(read_folder(data), config.split)
        if val is not None:
            held_out = read_folder(val)
        self._images = prepare_all(cases, spec, cache, log_preparation("training"))
        wanted = config.run.val_images or len(held_out)
        self._references = prepare_all(held_out[:wanted], spec, cache, log_preparation("validation"))
        branches = _BRANCHES[config.mode]
        self._pairs = LeakagePairs(self._images, config.preprocess_spec(), config.tile.size, config.aug, branches)
        self._plan = EpochPlan(
            self._images, config.tile, config.run.seed, config.optim.batch, config.optim.steps_per_epoch
        )

    def hashes(self) -> dict[str, dict[str, Any]]:
        """Return the hashes of images, masks and, where used, fields of view."""
        parts = (("train", self._images), ("val", self._references))
        return {part: {image.name: image.sha256 for image in images} for part, images in parts}

    @property
    def steps_per_epoch(self) -> int:
        """As configured, or one pass over all tiles."""
        return self._plan.steps

    def summary(self) -> str:
        """Return the number of images and tiles."""
        plan = self._plan
        return f"{len(self._images)} images, {plan.tiles} tiles ({plan.tiles_with_leakage} with leakage)"

    def loader(self, epoch: int, start: int) -> DataLoader[Batch]:
        """Return the planned windows."""
        return epoch_loader(self._pairs, self._plan, epoch, start, self.config.run.workers)

    @property
    def can_validate(self) -> bool:
        """Whether validation images were prepared."""
        return bool(self._references)

    def validate(self) -> Validation:
        """Return the mean Dice at the original resolution."""
        config, module = self.config, self.module
        pipeline = torch_pipeline(config, module.large, module.small)
        scores: dict[str, float] = {}
        picture = None
        for image in self._references:
            maps = branch_maps(pipeline, config.mode, image.whole, image.grid, image.height, image.width)
            p = combine(pipeline, config.mode, maps, image.original_fov)
            prediction = p >= np.float32(config.infer.threshold)
            scores[image.name] = dice(prediction, image.original_mask)
            if picture is None:
                picture = overlay(image.whole, prediction, image.whole_mask.astype(bool))
        return Validation("dice", float(np.mean(list(scores.values()))), scores, picture)
