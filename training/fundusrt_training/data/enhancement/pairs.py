"""Training pairs: a framed good photograph and itself degraded; beside them, framed bad photographs.

    good photograph [-> as another camera takes it] = target -> degraded = image

What is done to a pair follows from its seed alone, so that `pair_degradation` tells it again afterwards; or it is of
a pool made beforehand (`degraded_pool`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from fundusrt_training.data.camera import CameraAugmentation, through_another_camera
from fundusrt_training.data.degradation import DegradationConfig, degrade_8_bit
from fundusrt_training.data.enhancement.degraded_pool import pair_degradation, read_variant
from fundusrt_training.data.framed_eye import Bytes, FramedEye, to_planes

__all__ = ["EnhancementPairs", "PairBatch", "PairDraw"]


class PairDraw(NamedTuple):
    """Which photograph, of the good ones or of the unlabelled ones, and the seed of what is done to it."""

    eye: int
    seed: tuple[int, ...]
    unlabelled: bool = False


class PairBatch(TypedDict):
    """One step's data; all images float32 in [0, 1], black outside the field of view.

    Keys:
        image: (N, 3, H, W) degraded.
        target: (N, 3, H, W) good.
        vessels: (N, H, W) float32 in [0, 1], the share of a pixel's area; where vessels are known.
        unlabelled: (M, 3, H, W) real bad photographs; where there are any.
        name: names of the good ones.
    """

    image: Tensor
    target: Tensor
    vessels: NotRequired[Tensor]
    unlabelled: NotRequired[Tensor]
    name: list[str]


class EnhancementPairs(Dataset[dict[str, "Tensor | str"]]):
    """Pairs and bad photographs by `PairDraw`.

    Args:
        clean: good photographs; their vessels are used where `vessels` is None.
        unlabelled: bad photographs.
        config: ranges of the degradation.
        flip: probability of either flip.
        camera: what another camera changes, in good photographs before they are degraded.
        vessels: an array file of (side, side) uint8 for each good photograph, the vessels' share in 255ths, or None.
        pool: the file of each good photograph's `degraded_pool`, or None: every draw is degraded anew.
    """

    def __init__(
        self,
        clean: Sequence[FramedEye],
        unlabelled: Sequence[FramedEye],
        config: DegradationConfig,
        flip: float,
        camera: CameraAugmentation,
        vessels: Sequence[Path] | None = None,
        pool: Sequence[Path] | None = None,
    ) -> None:
        self.clean = clean
        self.unlabelled = unlabelled
        self.config = config
        self.flip = flip
        self.camera = camera
        self.vessels = vessels
        self.pool = pool

    def __len__(self) -> int:
        return len(self.clean)

    def __getitem__(self, draw: PairDraw) -> dict[str, Tensor | str]:
        flips = _flips(draw.seed, self.flip)
        if draw.unlabelled:
            return {"unlabelled": to_planes(self.unlabelled[draw.eye].read()[0][flips])}
        eye = self.clean[draw.eye]
        bad, clean, vessels = self._fresh(draw, flips) if self.pool is None else self._made(draw, flips, self.pool)
        item: dict[str, Tensor | str] = {"image": to_planes(bad), "target": to_planes(clean), "name": eye.name}
        if vessels is not None:
            item["vessels"] = to_planes(vessels[flips][..., None])[0]
        return item

    def _fresh(self, draw: PairDraw, flips: tuple[slice, slice]) -> tuple[Bytes, Bytes, Bytes | None]:
        """Return the photograph degraded by the draw's seed and itself, both flipped; its vessels as they are."""
        pixels, fov, vessels = self.clean[draw.eye].read()
        clean, fov = np.ascontiguousarray(pixels[flips]), np.ascontiguousarray(fov[flips])
        clean = through_another_camera(clean, self.camera, (*draw.seed, 2))
        bad = degrade_8_bit(clean, fov, pair_degradation(draw.seed, clean.shape[0], self.config))
        return bad, clean, vessels if self.vessels is None else np.load(self.vessels[draw.eye])

    def _made(
        self, draw: PairDraw, flips: tuple[slice, slice], pool: Sequence[Path]
    ) -> tuple[Bytes, Bytes, Bytes | None]:
        """Return the same of one of the pool's degradations."""
        file = pool[draw.eye]
        count = len(np.load(file, mmap_mode="r"))
        bad, clean = read_variant(file, int(np.random.default_rng((*draw.seed, 3)).integers(count)))
        vessels = self.clean[draw.eye].read()[2] if self.vessels is None else np.load(self.vessels[draw.eye])
        return bad[flips], clean[flips], vessels

    @staticmethod
    def collate(items: list[dict[str, Tensor | str]]) -> PairBatch:
        """Stack the pairs, and the unlabelled photographs apart from them."""
        batch = default_collate([item for item in items if "unlabelled" not in item])
        unlabelled = [item for item in items if "unlabelled" in item]
        return batch | default_collate(unlabelled) if unlabelled else batch


def _flips(seed: tuple[int, ...], probability: float) -> tuple[slice, slice]:
    down, across = np.random.default_rng(seed).random(2) < probability
    return slice(None, None, -1 if down else 1), slice(None, None, -1 if across else 1)
