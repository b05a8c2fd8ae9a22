"""Stitched tiles against the whole image they were cut from."""

from __future__ import annotations

import numpy as np
import pytest

from fundusrt import InvalidInput, TileGrid
from fundusrt.stitching import Stitcher
from fundusrt.tiling import Tile

LARGEST_PX = 5000


def sizes() -> list[tuple[int, int, int, int]]:
    """200 seeded (height, width, tile, overlap): the corners of the range, then random, as many small as large."""
    rng = np.random.default_rng(20240)
    found = [
        (1, 1, 512, 0),
        (1, 1, 1, 0),
        (LARGEST_PX, LARGEST_PX, 512, 0),
        (LARGEST_PX, LARGEST_PX, 512, 64),
        (LARGEST_PX, 1, 512, 0),
        (1, LARGEST_PX, 512, 128),
        (4999, 3, 64, 0),
        (511, 513, 512, 0),
        (512, 1024, 512, 0),
        (1025, 1024, 512, 480),
    ]
    while len(found) < 200:
        height, width = (int(2.0 ** rng.uniform(0.0, np.log2(LARGEST_PX + 0.99))) for _ in range(2))
        tile = int(rng.choice([16, 100, 512, 512, 512, 1000]))
        overlap = int(rng.choice([0, 0, tile // 8, tile // 2, 1]))
        if len(TileGrid.cover(height, width, tile, overlap)) <= 600:
            found.append((height, width, tile, overlap))
    return found


def stitch(height: int, width: int, tile: int, overlap: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Stitch tiles whose value at (y, x) is rows[y] + columns[x]; NaN past the image's end."""
    grid = TileGrid.cover(height, width, tile, overlap)
    stitcher = Stitcher(grid)
    for window in grid:
        values = np.full((tile, tile), np.nan, np.float32)
        part = rows[window.y0 : window.y1, None] + columns[None, window.x0 : window.x1]
        values[: part.shape[0], : part.shape[1]] = part
        stitcher.add(window, values)
    return stitcher.result()


def test_equals_the_whole_image_for_200_sizes() -> None:
    rng = np.random.default_rng(7)
    # Whole numbers below 2**11, so that the float32 sums of overlapping tiles are exact and the comparison can be.
    rows, columns = (rng.integers(0, 1024, LARGEST_PX).astype(np.float32) for _ in range(2))
    cases = sizes()
    assert len(cases) == 200
    assert sum(1 for case in cases if case[3]) > 60
    for height, width, tile, overlap in cases:
        made = stitch(height, width, tile, overlap, rows, columns)
        truth = rows[:height, None] + columns[None, :width]
        assert made.dtype == np.float32
        assert np.array_equal(made, truth), f"{height} x {width}, tile {tile}, overlap {overlap}"


def test_equals_the_paper_s_re_assembly() -> None:
    """(R C, t, t) -> (R, C, t, t) -> (R, t, C, t) -> (R t, C t)."""
    grid = TileGrid.cover(3 * 32, 5 * 32, 32)
    tiles = np.random.default_rng(1).random((15, 32, 32), np.float32)
    stitcher = Stitcher(grid)
    for tile, values in zip(grid, tiles, strict=True):
        stitcher.add(tile, values)
    np.testing.assert_array_equal(stitcher.result(), tiles.reshape(3, 5, 32, 32).transpose(0, 2, 1, 3).reshape(96, 160))


def test_overlapping_values_are_averaged_with_equal_weight() -> None:
    grid = TileGrid.cover(1, 6, 4, 2)
    stitcher = Stitcher(grid)
    for tile, value in zip(grid, (0.0, 1.0), strict=True):
        stitcher.add(tile, np.full((4, 4), value, np.float32))
    np.testing.assert_array_equal(stitcher.result(), np.float32([[0.0, 0.0, 0.5, 0.5, 1.0, 1.0]]))


def test_tiles_may_come_in_any_order() -> None:
    rng = np.random.default_rng(2)
    grid = TileGrid.cover(70, 90, 32, 5)
    values = {tile: rng.integers(0, 9, (32, 32)).astype(np.float32) for tile in grid}
    results = []
    for order in (list(grid), list(grid)[::-1]):
        stitcher = Stitcher(grid)
        for tile in order:
            stitcher.add(tile, values[tile])
        results.append(stitcher.result())
    np.testing.assert_array_equal(*results)


def test_nan_is_kept_for_the_caller_to_see() -> None:
    stitcher = Stitcher(TileGrid.cover(4, 4, 4))
    stitcher.add(Tile(0, 0, 0, 0, 4, 4), np.full((4, 4), np.nan, np.float32))
    assert np.isnan(stitcher.result()).all()


def test_refusals() -> None:
    grid = TileGrid.cover(8, 12, 4)
    stitcher = Stitcher(grid)
    first, second, *_ = grid
    values = np.zeros((4, 4), np.float32)
    with pytest.raises(InvalidInput, match=r"tile values: got shape \(4, 3\); expected \(4, 4\)"):
        stitcher.add(first, values[:, :3])
    stitcher.add(first, values)
    with pytest.raises(
        InvalidInput, match="tile at row 0, column 0: got a tile that was added before or is not of this"
    ):
        stitcher.add(first, values)
    with pytest.raises(
        InvalidInput, match="tile at row 5, column 0: got a tile that was added before or is not of this"
    ):
        stitcher.add(Tile(5, 0, 20, 0, 24, 4), values)
    with pytest.raises(InvalidInput, match="tile at row 0, column 1"):
        stitcher.add(Tile(0, 1, 0, 3, 4, 7), values)  # right place in the grid, wrong pixels
    stitcher.add(second, values)
    with pytest.raises(InvalidInput, match="stitched map: got 4 of 6 tiles missing; expected every tile"):
        stitcher.result()


@pytest.mark.parametrize(("size", "averaged"), [((24, 32), False), ((20, 33), True)])
def test_given_memory_is_used_whatever_it_holds(size: tuple[int, int], averaged: bool) -> None:
    grid = TileGrid.cover(*size, 8)
    memory = np.full(size, np.nan, np.float32)
    stitcher = Stitcher(grid, memory)
    for tile in grid:
        stitcher.add(tile, np.full((8, 8), 0.25, np.float32))
    made = stitcher.result()
    np.testing.assert_array_equal(made, np.full(size, 0.25, np.float32))
    assert np.shares_memory(made, memory) is not averaged


@pytest.mark.parametrize("memory", [np.empty((20, 32), np.float32), np.empty((20, 33), np.float64)])
def test_memory_that_does_not_fit_is_refused(memory: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match=r"stitcher memory: got .*; expected \(20, 33\) float32"):
        Stitcher(TileGrid.cover(20, 33, 8), memory)
