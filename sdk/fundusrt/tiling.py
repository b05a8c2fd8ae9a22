"""Tile geometry: which windows cover an image, without touching a pixel.

CMWNet cuts the image into a non-overlapping grid of 512 px tiles, row by row, after resizing it to multiples of 512
(paper, Methods; `grid_size` is that rule).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fundusrt.errors import InvalidInput

__all__ = ["Tile", "TileGrid", "grid_size"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One window: grid position and half-open pixel range `[y0, y1) x [x0, x1)`."""

    row: int
    column: int
    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The index that cuts this tile out of an (H, W, ...) array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """A full cover of a `height` x `width` px image by equal square tiles, row-major. Make one with `cover`."""

    height: int
    width: int
    tile: int
    overlap: int
    y_starts: tuple[int, ...]
    x_starts: tuple[int, ...]

    @classmethod
    def cover(cls, height: int, width: int, tile: int = 512, overlap: int = 0) -> TileGrid:
        """Cover an image with the fewest tiles that overlap by at least `overlap` px, evenly spread.

        Every tile lies inside the image where the image is at least one tile large; an axis shorter than `tile` gets
        one tile that reaches past the image's end, to be padded by whoever cuts it.

        Args:
            height: image height in px, at least 1.
            width: image width in px, at least 1.
            tile: side of a tile in px, at least 1.
            overlap: smallest overlap of neighbouring tiles in px, in [0, tile).

        Raises:
            InvalidInput: a size below 1 or an overlap outside [0, tile).
        """
        _check_sizes(height, width, tile)
        if not isinstance(overlap, int) or not 0 <= overlap < tile:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(
                f"overlap {overlap} px",
                got=f"tile {tile} px",
                expected="0 <= overlap < tile",
                fix=f"try {tile // 8}",
            )
        return cls(height, width, tile, overlap, _starts(height, tile, overlap), _starts(width, tile, overlap))

    @property
    def rows(self) -> int:
        """Number of tile rows."""
        return len(self.y_starts)

    @property
    def columns(self) -> int:
        """Number of tile columns."""
        return len(self.x_starts)

    def __len__(self) -> int:
        return self.rows * self.columns

    def __iter__(self) -> Iterator[Tile]:
        for row, y0 in enumerate(self.y_starts):
            for column, x0 in enumerate(self.x_starts):
                yield Tile(row, column, y0, x0, y0 + self.tile, x0 + self.tile)


def _starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Evenly spread start positions; the first is 0 and the last tile ends flush with the image."""
    if length <= tile:
        return (0,)
    step = tile - overlap
    count = -(-(length - overlap) // step)
    return tuple(i * (length - tile) // (count - 1) for i in range(count))


def grid_size(
    height: int, width: int, tile: int = 512, rounding: Literal["nearest", "ceil", "floor"] = "nearest"
) -> tuple[int, int]:
    """Return the multiple-of-`tile` size (height, width) in px an image is resized to; never below one tile.

    `nearest` rounds a half up.

    Raises:
        InvalidInput: a size below 1 or an unknown rounding.
    """
    _check_sizes(height, width, tile)
    return _round_to(height, tile, rounding), _round_to(width, tile, rounding)


def _check_sizes(height: int, width: int, tile: int) -> None:
    for name, value in (("height", height), ("width", width), ("tile", tile)):
        if not isinstance(value, int) or value < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(
                name, got=f"{value!r} px", expected="a whole number of px, at least 1", fix="give a size in px"
            )


def _round_to(length: int, tile: int, rounding: str) -> int:
    if rounding == "nearest":
        count = (2 * length + tile) // (2 * tile)
    elif rounding == "ceil":
        count = -(-length // tile)
    elif rounding == "floor":
        count = length // tile
    else:
        raise InvalidInput(
            "rounding", got=repr(rounding), expected="'nearest', 'ceil' or 'floor'", fix="'nearest' is the default"
        )
    return max(1, count) * tile
