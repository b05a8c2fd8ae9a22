"""Training pairs: a tile and the whole image it comes from, as tensors.

A pair is a pure function of its `TileDraw`: windows, flips and colour changes were all decided by the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fundusrt.manifest import PreprocessSpec
from fundusrt.preprocess import to_tensor
from fundusrt_training.data.augmentation import (
    AugmentationConfig,
    AugmentationDraw,
    draw_augmentation,
    flip,
    flip_window,
    jitter,
)
from fundusrt_training.data.epoch_plan import EpochPlan, TileDraw
from fundusrt_training.data.planned_loader import planned_loader
from fundusrt_training.data.working_image import Bytes, WorkingImage

__all__ = ["Batch", "LeakagePairs", "epoch_loader"]


class Batch(TypedDict):
    """One step's data.

    Keys:
        tile, tile_mask: (N, C, size, size) float32 network input and (N, 1, size, size) float32 0/1.
        whole, whole_mask: the same for the whole images, one per tile.
        window: (N, 4) float32, y0, x0, y1, x1 of each tile as fractions of its (flipped) image.
        name: image name and window of each pair, for messages.
    """

    tile: Tensor
    tile_mask: Tensor
    whole: Tensor
    whole_mask: Tensor
    window: Tensor
    name: list[str]


class LeakagePairs(Dataset[dict[str, "Tensor | str"]]):
    """Pairs by `TileDraw`.

    Args:
        images: the working images the draws index.
        spec: pre-processing; its mean and std are applied after the colour changes.
        size: tile side in px.
        augmentation: flips and colour changes, or None for none.
        branches: which of `tile` and `whole` are needed; the other costs nothing and is left out.
    """

    def __init__(
        self,
        images: Sequence[WorkingImage],
        spec: PreprocessSpec,
        size: int,
        augmentation: AugmentationConfig | None,
        branches: tuple[str, ...] = ("tile", "whole"),
    ) -> None:
        self.images = images
        self.spec = spec
        self.size = size
        self.augmentation = augmentation
        self.branches = branches
        self._unit = spec.model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, draw: TileDraw) -> dict[str, Tensor | str]:
        image = self.images[draw.image]
        change = None if self.augmentation is None else draw_augmentation(self.augmentation, draw.seed)
        y0, x0, y1, x1 = draw.y0, draw.x0, draw.y0 + self.size, draw.x0 + self.size
        height, width = image.mask.shape
        window = (y0 / height, x0 / width, y1 / height, x1 / width)
        if change is not None:
            window = flip_window(window, change)
        item: dict[str, Tensor | str] = {
            "window": torch.tensor(window, dtype=torch.float32),
            "name": f"{image.name}[{y0}:{y1}, {x0}:{x1}]",
        }
        if "tile" in self.branches:
            item["tile"] = self._input(image.grid[y0:y1, x0:x1], change, image.whole_mean)
            item["tile_mask"] = self._target(image.mask[y0:y1, x0:x1], change)
        if "whole" in self.branches:
            item["whole"] = self._input(image.whole, change, image.whole_mean)
            item["whole_mask"] = self._target(image.whole_mask, change)
        return item

    def _input(self, pixels: Bytes, change: AugmentationDraw | None, pivot: float) -> Tensor:
        grey = pixels.ndim == 2
        # Grey stays one plane until the end: repeated planes would be changed three times alike.
        spec = self._unit.model_copy(update={"channels": 1}) if grey else self._unit
        image = torch.from_numpy(to_tensor(np.ascontiguousarray(pixels), spec))
        if change is not None and change.blank is not None:
            image = torch.full_like(image, change.blank)
        elif change is not None:
            image = jitter(flip(image, change), change, pivot)
        image = image.expand(self.spec.channels, -1, -1)
        if any(self.spec.mean) or any(value != 1.0 for value in self.spec.std):
            mean, std = (
                torch.tensor(values[: self.spec.channels])[:, None, None] for values in (self.spec.mean, self.spec.std)
            )
            image = (image - mean) / std
        return image.contiguous()

    def _target(self, mask: Bytes, change: AugmentationDraw | None) -> Tensor:
        target = torch.from_numpy(mask.astype(np.float32))[None]
        if change is None:
            return target
        return flip(target, change) if change.blank is None else torch.zeros_like(target)


def epoch_loader(
    pairs: LeakagePairs, plan: EpochPlan, epoch: int, start: int = 0, workers: int = 0
) -> DataLoader[Batch]:
    """Return the loader of one epoch, from batch `start` on."""
    return planned_loader(pairs, plan.batches(epoch, start), workers)
