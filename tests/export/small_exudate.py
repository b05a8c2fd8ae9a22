"""A tiny SS-MAF with random weights, as a checkpoint on disk and as a network, and a photograph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fundusrt.png import encode_png
from fundusrt_export.model_card import BundleInfo
from fundusrt_training.checkpoints import save_checkpoint
from fundusrt_training.data.exudates.pairs import PairConfig
from fundusrt_training.models.ss_maf import SsMaf
from fundusrt_training.models.ss_maf import SsMafConfig as NetConfig
from fundusrt_training.systems.ss_maf_config import SsMafConfig
from tests.export.small_system import angiogram

__all__ = ["INFO", "SIZE", "checkpoint", "network", "photograph", "system_config", "write_photograph"]

SIZE = (32, 48)
INFO = BundleInfo(name="tiny", version="2.7.1", training_data="random numbers")


def system_config(**net: Any) -> SsMafConfig:
    made = NetConfig(**{"base": 4, "d": 8, **net})
    scale = 1 if made.stream == "unet" else made.up
    return SsMafConfig(net=made, data=PairConfig(lr=SIZE, hr=(SIZE[0] * scale, SIZE[1] * scale)))


def network(seed: int = 0, **net: Any) -> SsMaf:
    """Statistics and factors of a trained network; the head is scaled so that probabilities spread over (0, 1)."""
    torch.manual_seed(seed)
    made = SsMaf(system_config(**net).net).eval()
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert isinstance(module.running_mean, torch.Tensor)
                assert isinstance(module.running_var, torch.Tensor)
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.2, 1.0)
                nn.init.uniform_(module.weight, 0.7, 1.5)
                nn.init.uniform_(module.bias, -0.3, 0.3)
        nn.init.zeros_(made.seg_head.conv.bias)
        logits = made(torch.rand(1, 3, *SIZE) * 2 - 1)
        gap = logits[:, 1] - logits[:, 0]
        factor = 8.0 / float(gap.max() - gap.min())
        made.seg_head.conv.weight.mul_(factor)
        made.seg_head.conv.bias[1] = -factor * float(gap.median())
    return made


def checkpoint(path: Path, *, broken: bool = False, part: str = "network", **net: Any) -> Path:
    state = {f"{part}.{name}": value.clone() for name, value in network(**net).state_dict().items()}
    if broken:
        next(iter(state.values())).view(-1)[0] = float("nan")
    save_checkpoint(path, state, system_config(**net).to_dict(), system="ss-maf", step=11)
    return path


def photograph(height: int = 100, width: int = 130, seed: int = 0) -> np.ndarray:
    """A coloured disc on black; the channels differ."""
    return np.stack([angiogram(height, width, seed + k) for k in range(3)], axis=2)


def write_photograph(path: Path, pixels: np.ndarray) -> Path:
    path.write_bytes(encode_png(pixels))
    return path
