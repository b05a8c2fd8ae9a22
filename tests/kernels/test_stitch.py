"""Tiles into one map against `Stitcher`, and weighted means against their definition, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt.kernels import launches
from fundusrt.stitching import Stitcher
from fundusrt.tiling import TileGrid
from tests.kernels.host_kernels import HostKernels, HostMemory, address


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    tile = draw(st.sampled_from([1, 2, 5, 16, 33]))
    overlap = draw(st.integers(0, tile - 1))
    height, width = (draw(st.sampled_from([1, 2, 7, tile, tile + 1, 61, 100])) for _ in range(2))
    return TileGrid.cover(height, width, tile, overlap)


def on_host(kernels: HostKernels, tiles: np.ndarray, grid: TileGrid, window: np.ndarray | None = None) -> np.ndarray:
    memory = HostMemory()
    made = memory.empty((grid.height, grid.width), np.float32)
    weights = 0 if window is None else memory.copy(window)
    kernels.run(launches.stitch(memory.copy(tiles), address(made), grid, weights))
    memory.check()
    return made


@settings(max_examples=60)
@given(grid=grids(), seed=st.integers(0, 99))
def test_equals_the_stitcher_bit_for_bit(either_way: HostKernels, grid: TileGrid, seed: int) -> None:
    tiles = np.random.default_rng(seed).random((len(grid), grid.tile, grid.tile), np.float32)
    stitcher = Stitcher(grid)
    for tile, values in zip(grid, tiles, strict=True):
        stitcher.add(tile, values)
    np.testing.assert_array_equal(on_host(either_way, tiles, grid), stitcher.result())


@settings(max_examples=30)
@given(grid=grids(), seed=st.integers(0, 99))
def test_weights(kernels: HostKernels, grid: TileGrid, seed: int) -> None:
    """Numerator and denominator added tile by tile in reading order, divided once."""
    random = np.random.default_rng(seed)
    tiles = random.random((len(grid), grid.tile, grid.tile), np.float32)
    window = random.random((grid.tile, grid.tile), np.float32) + np.float32(0.01)
    above, below = np.zeros((2, grid.height, grid.width), np.float32)
    for tile, values in zip(grid, tiles, strict=True):
        part = above[tile.window]
        part += (window * values)[: part.shape[0], : part.shape[1]]
        below[tile.window] += window[: part.shape[0], : part.shape[1]]
    np.testing.assert_array_equal(on_host(kernels, tiles, grid, window), above / below)


@pytest.mark.parametrize("overlap", [0, 4])
def test_one_answer_everywhere_stays_what_it_is(kernels: HostKernels, overlap: int) -> None:
    grid = TileGrid.cover(50, 70, 16, overlap)
    tiles = np.full((len(grid), 16, 16), np.float32(0.3))
    np.testing.assert_array_equal(on_host(kernels, tiles, grid), np.full((50, 70), np.float32(0.3)))
