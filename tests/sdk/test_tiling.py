"""Tile geometry: full cover, fewest tiles, even spread; and the size rule of the grid."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundusrt import InvalidInput, TileGrid
from fundusrt.tiling import Tile, grid_size


@st.composite
def geometries(draw: st.DrawFn) -> tuple[int, int, int, int]:
    tile = draw(st.integers(1, 600))
    overlap = draw(st.integers(0, tile - 1))
    longest = 40 * (tile - overlap) + overlap
    side = st.one_of(st.integers(1, longest), st.sampled_from([1, tile, tile + 1, longest]))
    return draw(side), draw(side), tile, overlap


@given(geometry=geometries())
def test_cover(geometry: tuple[int, int, int, int]) -> None:
    height, width, tile, overlap = geometry
    grid = TileGrid.cover(height, width, tile, overlap)
    for length, starts in ((height, grid.y_starts), (width, grid.x_starts)):
        assert starts[0] == 0
        gaps = [b - a for a, b in pairwise(starts)]
        # Full cover with the wanted overlap, nothing outside, flush at the end.
        assert all(1 <= gap <= tile - overlap for gap in gaps)
        assert starts[-1] + tile == max(length, tile)
        # Evenly spread: whole pixels, so gaps differ by one at the most.
        assert max(gaps, default=0) - min(gaps, default=0) <= 1
        # Fewest: one tile less would leave a rest, even with no more than the least overlap.
        count = len(starts)
        assert count == 1 or tile + (count - 2) * (tile - overlap) < length


@given(geometry=geometries())
def test_tiles_are_row_major(geometry: tuple[int, int, int, int]) -> None:
    grid = TileGrid.cover(*geometry)
    tiles = list(grid)
    assert len(tiles) == len(grid) == grid.rows * grid.columns
    assert [(t.row, t.column) for t in tiles] == [(r, c) for r in range(grid.rows) for c in range(grid.columns)]
    for tile in tiles:
        assert (tile.y0, tile.x0) == (grid.y_starts[tile.row], grid.x_starts[tile.column])
        assert tile.y1 - tile.y0 == tile.x1 - tile.x0 == grid.tile


def test_every_pixel_is_covered_once_without_overlap_on_multiples() -> None:
    count = np.zeros((192, 320), int)
    for tile in TileGrid.cover(192, 320, 64):
        count[tile.window] += 1
    assert (count == 1).all()


def test_a_native_angiogram_makes_48_tiles() -> None:
    """3900 x 3072 becomes 4096 x 3072: 48 tiles and one whole image, the 49 network calls of CMWNet."""
    height, width = grid_size(3072, 3900)
    assert (height, width) == (3072, 4096)
    grid = TileGrid.cover(height, width)
    assert (grid.rows, grid.columns, len(grid)) == (6, 8, 48)
    assert list(grid)[9] == Tile(1, 1, 512, 512, 1024, 1024)


def test_grids_are_frozen_values() -> None:
    grid = TileGrid.cover(100, 100, 64, 8)
    assert grid == TileGrid.cover(100, 100, tile=64, overlap=8)
    assert hash(grid) == hash(TileGrid.cover(100, 100, 64, 8))
    with pytest.raises(AttributeError):
        grid.tile = 3  # type: ignore[misc]


@given(
    length=st.integers(1, 6000),
    other=st.integers(1, 6000),
    tile=st.sampled_from([1, 2, 3, 16, 511, 512]),
)
def test_grid_size_is_the_exact_rounding(length: int, other: int, tile: int) -> None:
    exact = {
        "nearest": lambda x: floor(x + Fraction(1, 2)),
        "ceil": ceil,
        "floor": floor,
    }
    for rounding, rule in exact.items():
        expected = tuple(max(1, rule(Fraction(side, tile))) * tile for side in (length, other))
        assert grid_size(length, other, tile, rounding) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, 512), (255, 512), (511, 512), (512, 512), (767, 512), (768, 1024), (1279, 1024), (1280, 1536), (5000, 5120)],
)
def test_nearest_rounds_a_half_up_and_never_below_one_tile(length: int, expected: int) -> None:
    assert grid_size(length, 512) == (expected, 512)
    assert grid_size(512, length) == (512, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5), "height: got 0 px; expected a whole number of px, at least 1"),
        ((1024.5, 5), r"height: got 1024\.5 px; expected a whole number of px, at least 1"),
        ((5, "7"), "width: got '7' px; expected a whole number of px, at least 1"),
        ((5, -1), "width: got -1 px; expected a whole number of px, at least 1"),
        ((5, 5, 0), "tile: got 0 px; expected a whole number of px, at least 1"),
        ((5, 5, 512, 512), "overlap 512 px: got tile 512 px; expected 0 <= overlap < tile; try 64"),
        ((5, 5, 512, -1), "overlap -1 px: got tile 512 px; expected 0 <= overlap < tile"),
    ],
)
def test_cover_refuses(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        TileGrid.cover(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5), "height: got 0 px"),
        ((5, 0), "width: got 0 px"),
        ((5, 5, 0), "tile: got 0 px"),
        ((5, 5, 512, "up"), "rounding: got 'up'; expected 'nearest', 'ceil' or 'floor'"),
    ],
)
def test_grid_size_refuses(arguments: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        grid_size(*arguments)
