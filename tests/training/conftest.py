"""What the training tests share: one thread, a tiny data folder, a tiny configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fundusrt_training.configuration import apply_settings
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.systems.ss_maf_config import SsMafConfig

torch.set_num_threads(1)

TINY = (
    "unet.base=8",
    "unet.levels=2",
    "unet.wavelet_form=haar_identity",
    "tile.size=32",
    "global.size=32",
    "prep.clahe=null",
    "optim.batch=2",
    "optim.epochs=2",
    "optim.steps_per_epoch=3",
    "optim.tmax=2",
    "run.val_images=1",
)

TINY_SS_MAF = (
    "net.base=4",
    "net.d=8",
    "data.hr=[64, 96]",
    "data.lr=[32, 48]",
    "optim.epochs=2",
    "optim.batch=2",
    "run.val_images=2",
)


def write_case(folder: Path, name: str, height: int, width: int, seed: int, *, grey: bool = True) -> None:
    """Write one picture with bright discs and its mask; the left upper tile never holds a disc."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = np.full((height, width), 90.0) + random.normal(0, 8, (height, width))
    mask = np.zeros((height, width), bool)
    for _ in range(3):
        disc = (y - random.uniform(40, height)) ** 2 + (x - random.uniform(40, width)) ** 2 < random.uniform(5, 12) ** 2
        mask |= disc
    mask[:36, :36] = False
    pixels[mask] += 100
    pixels = np.clip(pixels, 1, 255).astype(np.uint8)
    if not grey:
        pixels = np.stack((pixels, pixels // 2, 255 - pixels), axis=-1)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
    Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{name}.png")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three grey pictures of 70 x 100 px with masks. Not to be changed."""
    path = tmp_path_factory.mktemp("data") / "train"
    for index in range(3):
        write_case(path, f"eye{index}", 70, 100, index)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., CmwnetConfig]:
    """Make a configuration that trains in a second, with further settings."""

    def make(*settings: str) -> CmwnetConfig:
        return apply_settings(CmwnetConfig(), [*TINY, *settings])

    return make


@pytest.fixture(scope="session")
def tiny_ss_maf() -> Callable[..., SsMafConfig]:
    """The same for SS-MAF."""
    return lambda *settings: apply_settings(SsMafConfig(), [*TINY_SS_MAF, *settings])


@pytest.fixture
def exudates(tmp_path: Path) -> Path:
    """Seven photographs with yellow discs, at several sizes, as plain folders."""
    random = np.random.default_rng(0)
    for index in range(7):
        height, width = 60 + 4 * index, 90 + 6 * index
        y, x = np.mgrid[:height, :width]
        mask = (y - random.uniform(15, 45)) ** 2 + (x - random.uniform(20, 70)) ** 2 < 80
        pixels = np.dstack([np.where(mask, 230, 150), np.where(mask, 200, 70), np.full(mask.shape, 40)])
        for part, array in (("images", pixels), ("masks", mask * 255)):
            (tmp_path / "data" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / "data" / part / f"eye{index}.png")
    return tmp_path / "data"
