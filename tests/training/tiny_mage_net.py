"""A MAGE-Net that trains in a second, and data for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fundusrt_training.configuration import apply_settings
from fundusrt_training.data.enhancement import PairBatch
from fundusrt_training.systems.mage_net_config import MageNetConfig
from tests.training.synthetic_eye import save_eye

TINY = (
    "net.n=4",
    "net.u=2",
    "net.o=0",
    "net.num_cab=1",
    "net.rsp.base=2",
    "net.rsp.gn_groups=2",
    "data.side=96",
    "data.labelled=2",
    "data.unlabelled=1",
    "optim.epochs=2",
    "run.val_images=2",
    "run.channels_last=false",
)


def tiny_config(*settings: str) -> MageNetConfig:
    """Return the configuration with further settings."""
    return apply_settings(MageNetConfig(), [*TINY, *settings])


def save_eyes(root: Path, *, vessels: bool = True, unlabelled: int = 3) -> Path:
    """Write five good photographs, their vessels, and bad ones."""
    for seed in range(5):
        save_eye(seed, root / "clean" / f"eye{seed}.png", root / "vessels" / f"eye{seed}.png" if vessels else None)
    for seed in range(unlabelled):
        save_eye(10 + seed, root / "unlabelled" / f"bad{seed}.png")
    return root


def random_batch(seed: int, unlabelled: int | None = None) -> PairBatch:
    """Return a batch of two pairs of 96 px; bad photographs come from a seed of their own, if any."""

    def images(seed: int, count: int) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng(seed).random((count, 3, 96, 96), np.float32))

    batch = PairBatch(image=images(seed, 2), target=images(seed + 1, 2), vessels=images(seed, 2)[:, 0], name=["a", "b"])
    if unlabelled is not None:
        batch["unlabelled"] = images(unlabelled, 1)
    return batch
