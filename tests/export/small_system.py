"""A CMWNet of two tiny random networks with 64 px tiles, as a checkpoint on disk and as networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from fundusrt_export.model_card import BundleInfo
from fundusrt_training.checkpoints import save_checkpoint
from fundusrt_training.data.epoch_plan import TileConfig
from fundusrt_training.models.unet_wavelet import UNetWavelet, UNetWaveletConfig
from fundusrt_training.systems.cmwnet_config import CmwnetConfig, GlobalConfig

__all__ = ["INFO", "SIDE", "angiogram", "checkpoint", "network", "system_config", "write_png"]

SIDE = 64
INFO = BundleInfo(name="tiny", version="3.1.4", training_data="random numbers")


def network(seed: int = 0, **keywords: Any) -> UNetWavelet:
    """Random weights; the head is scaled so that probabilities spread over (0, 1)."""
    torch.manual_seed(seed)
    made = UNetWavelet(UNetWaveletConfig(**{"base": 8, "levels": 2, **keywords})).eval()
    with torch.no_grad():
        made.head.weight.mul_(3.0)
        for module in made.modules():
            if isinstance(module, torch.nn.GroupNorm):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return made


def system_config(*, backbone: Literal["unet_wavelet", "unet"] = "unet_wavelet", **keywords: Any) -> CmwnetConfig:
    return CmwnetConfig(
        backbone=backbone,
        unet=UNetWaveletConfig(**{"base": 8, "levels": 2, **keywords}),
        tile=TileConfig(size=SIDE),
        whole=GlobalConfig(size=SIDE),
    )


def checkpoint(
    path: Path, *, roles: tuple[str, ...] = ("large", "small"), broken: bool = False, **keywords: Any
) -> Path:
    """Write both branches; the two have different weights."""
    state: dict[str, Tensor] = {}
    for seed, role in enumerate(roles):
        weights = network(seed, **keywords).state_dict()
        state |= {f"{role}.{name}": value.clone() for name, value in weights.items()}
    if broken:
        next(iter(state.values())).view(-1)[0] = float("nan")
    save_checkpoint(path, state, system_config(**keywords).to_dict(), step=7)
    return path


def angiogram(height: int = 100, width: int = 200, seed: int = 0) -> np.ndarray:
    """A grey disc of smooth noise on black: fits a 2 x 3 grid of 64 px tiles with a resize in both directions."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.random((height, width), np.float32), (0, 0), 4)
    texture = (texture - texture.min()) / (texture.max() - texture.min())
    y, x = np.mgrid[:height, :width]
    inside = ((y - height / 2) / (height / 2)) ** 2 + ((x - width / 2) / (width / 2)) ** 2 < 0.9
    return (np.where(inside, 40 + 200 * texture, 0)).astype(np.uint8)


def write_png(path: Path, pixels: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path
