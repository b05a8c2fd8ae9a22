"""Which windows an epoch sees, in which order: decided beforehand from the seed, as plain data.

Because the plan is a pure function of (seed, epoch), the modes cmwnet, crop and down see the same windows in the same
order, the number of loader processes does not matter, and a resumed run continues exactly without saving any random
state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fundusrt.errors import InvalidInput, UsageError
from fundusrt.tiling import TileGrid
from fundusrt_training.data.working_image import WorkingImage

__all__ = ["EpochPlan", "TileConfig", "TileDraw"]


@dataclass(frozen=True)
class TileConfig:
    """The tile branch.

    Args:
        size: side of a tile in px.
        round: how the image's size becomes a multiple of it.
        sampling: `grid` takes the tiles of the non-overlapping grid, as in the paper; `random` shifts each by up to
            half a tile.
        positive_fraction: fraction of drawn tiles that contain leakage, or null for the plain shuffled list, as in the
            paper.
        skip_outside: leave out tiles that hold nothing of the field of view.
    """

    size: int = 512
    round: Literal["nearest", "ceil", "floor"] = "nearest"
    sampling: Literal["grid", "random"] = "grid"
    positive_fraction: float | None = None
    skip_outside: bool = False

    def __post_init__(self) -> None:
        if self.positive_fraction is not None and not 0 <= self.positive_fraction <= 1:
            raise UsageError("tile.positive_fraction", got=self.positive_fraction, expected="0 to 1, or null")


@dataclass(frozen=True)
class TileDraw:
    """One window: index of its image, top left corner in px of the grid-sized image, seed of its augmentation."""

    image: int
    y0: int
    x0: int
    seed: tuple[int, ...]


@dataclass(frozen=True)
class _GridTile:
    image: int
    y0: int
    x0: int
    leakage: bool


class EpochPlan:
    """Draws the windows of every epoch.

    Args:
        images: the training images.
        config: tile rule and sampling.
        seed: of the run.
        batch: windows per step.
        steps_per_epoch: steps per epoch, or None for one pass over all tiles (the last batch may be short).

    Raises:
        InvalidInput: no tile is left, or `positive_fraction` asks for a kind of tile that does not occur.
    """

    def __init__(
        self,
        images: Sequence[WorkingImage],
        config: TileConfig,
        seed: int,
        batch: int,
        steps_per_epoch: int | None = None,
    ) -> None:
        self.images = images
        self.config = config
        self.seed = seed
        self.batch = batch
        self._tiles = [tile for index, image in enumerate(images) for tile in _tiles_of(index, image, config)]
        if not self._tiles:
            raise InvalidInput(
                "training tiles",
                got="none",
                expected="at least one tile inside a field of view",
                fix="look at the images, or set tile.skip_outside false",
            )
        self._check_kinds()
        self.count = steps_per_epoch * batch if steps_per_epoch else len(self._tiles)

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return -(-self.count // self.batch)

    @property
    def tiles(self) -> int:
        """Tiles one pass would show."""
        return len(self._tiles)

    @property
    def tiles_with_leakage(self) -> int:
        """Tiles of the grid that contain leakage."""
        return sum(tile.leakage for tile in self._tiles)

    def batches(self, epoch: int, start: int = 0) -> list[list[TileDraw]]:
        """Return the batches of an epoch from batch `start` on."""
        draws = self.draws(epoch)
        return [draws[i : i + self.batch] for i in range(start * self.batch, len(draws), self.batch)]

    def draws(self, epoch: int) -> list[TileDraw]:
        """Return the windows of an epoch, in order."""
        random = np.random.default_rng((self.seed, 1, epoch))
        chosen = self._choose(random)
        place = self._shifted if self.config.sampling == "random" else self._as_is
        return [
            TileDraw(
                tile.image, *place(tile, np.random.default_rng((self.seed, 2, epoch, i))), (self.seed, 3, epoch, i)
            )
            for i, tile in enumerate(chosen)
        ]

    def _choose(self, random: np.random.Generator) -> list[_GridTile]:
        share = self.config.positive_fraction
        if share is None:
            return _cycle(self._tiles, self.count, random)
        wanted = round(share * self.count)
        with_leakage = iter(_cycle([t for t in self._tiles if t.leakage], wanted, random))
        without = iter(_cycle([t for t in self._tiles if not t.leakage], self.count - wanted, random))
        flags = random.permutation(np.arange(self.count) < wanted)
        return [next(with_leakage) if flag else next(without) for flag in flags]

    def _as_is(self, tile: _GridTile, random: np.random.Generator) -> tuple[int, int]:
        del random
        return tile.y0, tile.x0

    def _shifted(self, tile: _GridTile, random: np.random.Generator) -> tuple[int, int]:
        """Move a tile by up to half its size so that it keeps what it was chosen for."""
        image, size = self.images[tile.image], self.config.size
        if self.config.positive_fraction is None:
            keep: Callable[[int, int], bool] = lambda y, x: True  # noqa: E731
        else:
            keep = lambda y, x: bool(image.mask[y : y + size, x : x + size].any()) == tile.leakage  # noqa: E731
        for _ in range(8):
            shift = random.integers(-size // 2, size // 2, 2, endpoint=True)
            y0 = int(np.clip(tile.y0 + shift[0], 0, image.mask.shape[0] - size))
            x0 = int(np.clip(tile.x0 + shift[1], 0, image.mask.shape[1] - size))
            if keep(y0, x0):
                return y0, x0
        return tile.y0, tile.x0

    def _check_kinds(self) -> None:
        share = self.config.positive_fraction
        if share is None:
            return
        found = self.tiles_with_leakage
        if share > 0 and not found:
            raise InvalidInput(
                "tile.positive_fraction",
                got=f"{share}, but none of {len(self._tiles)} tiles contains leakage",
                expected="tiles with leakage",
                fix="check the masks, or set tile.positive_fraction null",
            )
        if share < 1 and found == len(self._tiles):
            raise InvalidInput(
                "tile.positive_fraction",
                got=f"{share}, but every tile contains leakage",
                expected="tiles without leakage",
                fix="set tile.positive_fraction null",
            )


def _tiles_of(index: int, image: WorkingImage, config: TileConfig) -> list[_GridTile]:
    grid = TileGrid.cover(image.mask.shape[0], image.mask.shape[1], config.size)
    return [
        _GridTile(index, tile.y0, tile.x0, bool(image.tile_leakage[tile.row][tile.column]))
        for tile in grid
        if not (config.skip_outside and not image.tile_fov[tile.row][tile.column])
    ]


def _cycle(tiles: list[_GridTile], count: int, random: np.random.Generator) -> list[_GridTile]:
    """Return `count` tiles: whole shuffled passes, then part of one."""
    chosen: list[_GridTile] = []
    while len(chosen) < count:
        chosen += [tiles[i] for i in random.permutation(len(tiles))[: count - len(chosen)]]
    return chosen
