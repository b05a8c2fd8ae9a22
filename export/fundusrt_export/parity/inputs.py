"""What the ladder is measured on: windows of real images, and the extremes an image can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fundusrt.frame_pipeline import cut_frame
from fundusrt.image import FundusImage
from fundusrt.manifest import FrameManifest, PreprocessSpec, TileSpec, WholeImageSpec
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole, to_tensor
from fundusrt.tiling import TileGrid

__all__ = ["ParityInputs", "Role", "array_sha256"]

Role = Literal["large", "small"]
Bytes = npt.NDArray[np.uint8]

MOST_TILES = 6
"""Tiles taken of one image, evenly spread over the grid: border and centre of the field of view are both there."""


ARTIFICIAL = ("black", "white", "colours")
"""Names of the windows that are of no image."""


def array_sha256(array: npt.NDArray[Any]) -> str:
    """Return the hash of an array's shape, dtype and values."""
    head = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


@dataclass(frozen=True)
class ParityInputs:
    """Pre-processed uint8 windows (h, w[, 3]) by name, for each network, and the images they come from.

    Attributes:
        images: whole images, for the last rung.
        windows: for each network, its network-sized windows by name.
        preprocess: how a window becomes a tensor.
    """

    images: tuple[FundusImage, ...]
    windows: dict[str, dict[str, Bytes]]
    preprocess: PreprocessSpec

    @classmethod
    def of(
        cls, images: Iterable[FundusImage], preprocess: PreprocessSpec, tile: TileSpec, whole: WholeImageSpec
    ) -> ParityInputs:
        """Take the whole image and up to `MOST_TILES` tiles of each image, and add black, white and coloured ones."""
        images = tuple(images)
        large: dict[str, Bytes] = {}
        small: dict[str, Bytes] = {}
        for image in images:
            enhanced = enhance(image, preprocess)
            large[f"{image.source_id}, whole"] = shrink_whole(enhanced, whole)
            on_grid = fit_to_grid(enhanced, tile)
            tiles = list(TileGrid.cover(*on_grid.shape[:2], tile=tile.size))
            for index in sorted(set(np.linspace(0, len(tiles) - 1, MOST_TILES).round().astype(int).tolist())):
                chosen = tiles[index]
                small[f"{image.source_id}, tile {chosen.row},{chosen.column}"] = on_grid[chosen.window]
        for windows, side in ((large, whole.size), (small, tile.size)):
            windows |= _extremes(side, side) | _colours(side, side)
        return cls(images, {"large": large, "small": small}, preprocess)

    @classmethod
    def of_frames(cls, images: Iterable[FundusImage], manifest: FrameManifest) -> ParityInputs:
        """Take the frame of each image, and add a black and a white one, and a coloured one where colours are seen."""
        images = tuple(images)
        frames = {f"{image.source_id}, frame": cut_frame(image, manifest)[1] for image in images}
        size = manifest.frame.height_px, manifest.frame.width_px
        frames |= _extremes(*size)
        if manifest.input.colour == "rgb":
            frames |= _colours(*size)
        return cls(images, {manifest.network_name: frames}, manifest.input.tensor_spec())

    def of_images(self) -> ParityInputs:
        """Return the windows of images alone, without the extremes and colours that no image has."""
        windows = {
            network: {name: pixels for name, pixels in named.items() if name not in ARTIFICIAL}
            for network, named in self.windows.items()
        }
        return replace(self, windows=windows)

    def at_most(self, most: int) -> ParityInputs:
        """Return at most that many windows of each network, evenly spread over the images."""
        windows: dict[str, dict[str, Bytes]] = {}
        for network, named in self.windows.items():
            names = list(named)
            chosen = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int).tolist()
            windows[network] = {names[index]: named[names[index]] for index in chosen}
        return replace(self, windows=windows)

    def only(self, network: str) -> ParityInputs:
        """Return the windows of one network alone."""
        return replace(self, windows={network: self.windows[network]})

    def feeds(self, name: str) -> dict[str, npt.NDArray[np.float32]]:
        """Return the (1, C, h, w) float32 inputs of a network by name."""
        return {window: to_tensor(pixels, self.preprocess)[None] for window, pixels in self.windows[name].items()}

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the inputs of a network as tensors."""
        return {window: torch.from_numpy(feed) for window, feed in self.feeds(name).items()}

    def hashes(self) -> dict[str, str]:
        """Return the sha256 of every window, by `network/name`."""
        return {
            f"{network}/{name}": array_sha256(pixels)
            for network, windows in self.windows.items()
            for name, pixels in windows.items()
        }


def _extremes(height: int, width: int) -> dict[str, Bytes]:
    return {name: np.full((height, width), level, np.uint8) for level, name in ((0, "black"), (255, "white"))}


def _colours(height: int, width: int) -> dict[str, Bytes]:
    """Return a window whose channels, rows and columns are all different: what is exchanged, shifted or flipped shows.

    Grey images, and windows of one level, show none of it.
    """
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [
        np.sin(2 * np.pi * (periods * y / height + (4 - periods) * x / width)) * (0.5 + 0.5 * x / width)
        for periods in (1, 2, 3)
    ]
    return {"colours": np.rint(127.5 + 127.5 * np.stack(waves, axis=2)).astype(np.uint8)}
