"""Vessel training data: a random, turned, flipped and recoloured crop of each framed photograph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.data.augmentation import AugmentationConfig, draw_augmentation, jitter
from fundusrt_training.data.framed_eye import FramedEye

__all__ = ["CropDraw", "VesselAugmentation", "VesselBatch", "VesselCrops", "crop_matrix"]


@dataclass(frozen=True)
class VesselAugmentation:
    """Strengths; none of them is in a paper.

    Args:
        flip: probability of either flip.
        rotate: largest rotation in degrees.
        zoom: z draws a factor log-uniformly from [1 / (1 + z), 1 + z].
        jitter: brightness, contrast, saturation, hue, as in `AugmentationConfig`.
    """

    flip: float = 0.5
    rotate: float = 180.0
    zoom: float = 0.2
    jitter: tuple[float, float, float, float] = (0.3, 0.3, 0.3, 0.03)

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1:
            raise UsageError("aug.flip", got=self.flip, expected="a probability, 0 to 1")
        if not 0 <= self.rotate <= 180:
            raise UsageError("aug.rotate", got=self.rotate, expected="0 to 180 degrees")
        if not 0 <= self.zoom <= 1:
            raise UsageError("aug.zoom", got=self.zoom, expected="0 to 1")
        AugmentationConfig(jitter=self.jitter)


class CropDraw(NamedTuple):
    """Which photograph, and the seed of everything done to it; no seed: the whole frame as it is."""

    eye: int
    seed: tuple[int, ...] | None


class VesselBatch(TypedDict):
    """One step's data.

    Keys:
        image: (N, 3, H, W) float32 in [0, 1].
        vessels: (N, H, W) float32 in [0, 1], the share of a pixel's area.
        name: names of the photographs.
    """

    image: Tensor
    vessels: Tensor
    name: list[str]


class VesselCrops(Dataset[dict[str, "Tensor | str"]]):
    """Crops by `CropDraw`.

    Args:
        eyes: what the draws index; all with vessels.
        crop: px of a crop's sides.
        augmentation: strengths.
    """

    def __init__(self, eyes: Sequence[FramedEye], crop: int, augmentation: VesselAugmentation) -> None:
        self.eyes = eyes
        self.crop = crop
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.eyes)

    def __getitem__(self, draw: CropDraw) -> dict[str, Tensor | str]:
        eye = self.eyes[draw.eye]
        pixels, _, vessels = eye.read()
        if vessels is None:
            raise InvalidInput(eye.name, got="no vessels", expected="a mask of them", fix="prepare it with its mask")
        image, share = (each.astype(np.float32) / np.float32(255.0) for each in (pixels, vessels))
        if draw.seed is not None:
            matrix = crop_matrix(pixels.shape[0], self.crop, self.augmentation, draw.seed)
            image, share = (
                cv2.warpAffine(each, matrix, (self.crop, self.crop), flags=cv2.INTER_LINEAR) for each in (image, share)
            )
        planes = torch.from_numpy(np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1)))
        if draw.seed is not None:
            colours = draw_augmentation(AugmentationConfig(jitter=self.augmentation.jitter), (*draw.seed, 1))
            planes = jitter(planes, colours, float(planes.mean()))
        return {"image": planes, "vessels": torch.from_numpy(np.asarray(share, np.float32)), "name": eye.name}


def crop_matrix(side: int, crop: int, config: VesselAugmentation, seed: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the 2 x 3 matrix that maps (x, y) of a frame to (x, y) of a crop.

    The crop's place is uniform over all whole ones inside the frame; it turns and zooms about its middle.

    Args:
        side: px of the frame.
        crop: px of the crop, at most `side`.
        config: strengths.
        seed: of this crop.
    """
    random = np.random.default_rng(seed)
    corner = random.integers(0, side - crop, 2, endpoint=True)
    flips = np.where(random.random(2) < config.flip, -1.0, 1.0)
    angle = math.radians(float(random.uniform(-config.rotate, config.rotate)))
    scale = (1.0 + config.zoom) ** float(random.uniform(-1.0, 1.0))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    linear = scale * np.diag(flips) @ turn
    middle = np.full(2, (crop - 1) / 2)
    return np.column_stack((linear, middle - linear @ (corner + middle)))
