"""An image straight into a network's batch against `fit_to_grid` and `to_tensor`, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt.kernels import launches, tables
from fundusrt.manifest import PreprocessSpec, TileSpec
from fundusrt.preprocess import fit_to_grid, to_tensor
from fundusrt.tiling import TileGrid, grid_size
from tests.kernels.host_kernels import HostKernels, HostMemory, address

SIDES = (1, 3, 16, 31, 33, 37, 64, 101, 150)


def on_host(
    kernels: HostKernels, pixels: np.ndarray, grid_px: tuple[int, int], tile: int, first: int, batch: int,
    spec: PreprocessSpec, *, half: bool,
) -> np.ndarray:  # fmt: skip
    memory = HostMemory()
    made = memory.empty((batch, spec.channels, tile, tile), np.float16 if half else np.float32)
    channels = 1 if pixels.ndim == 2 else 3
    launch = launches.gather(
        memory.copy(pixels), address(made), *pixels.shape[:2], channels, grid_px, tile, first, batch, spec,
        memory.copy(tables.normalisation(spec, half=half)), half=half,
    )  # fmt: skip
    kernels.run(launch)
    memory.check()
    return made


@settings(max_examples=100)
@given(
    height=st.sampled_from(SIDES),
    width=st.sampled_from(SIDES),
    tile=st.sampled_from([16, 17, 18, 32, 64]),
    rounding=st.sampled_from(["nearest", "ceil", "floor"]),
    colour=st.booleans(),
    channels=st.sampled_from([1, 3]),
    batch=st.sampled_from([1, 3, 8]),
    normalised=st.booleans(),
    half=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_the_cpu_path_bit_for_bit(
    kernels: HostKernels, height: int, width: int, tile: int, rounding: Any, colour: bool, channels: Any, batch: int,
    normalised: bool, half: bool, seed: int,
) -> None:  # fmt: skip
    moments: dict[str, Any] = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 0.3)} if normalised else {}
    spec = PreprocessSpec(channels=channels, **moments)
    shape = (height, width, 3) if colour else (height, width)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    on_grid = fit_to_grid(pixels, TileSpec(size=tile, round=rounding))
    grid = TileGrid.cover(*on_grid.shape[:2], tile=tile)
    first = 0 if len(grid) <= batch else len(grid) - batch + 1  # the last batch, one tile of it padding
    expected = np.zeros((batch, channels, tile, tile), np.float16 if half else np.float32)
    for position, cell in enumerate(list(grid)[first : first + batch]):
        expected[position] = to_tensor(on_grid[cell.window], spec)
    made = on_host(kernels, pixels, on_grid.shape[:2], tile, first, batch, spec, half=half)
    np.testing.assert_array_equal(made, expected)


def test_every_byte_in_every_channel(kernels: HostKernels) -> None:
    """A picture of all bytes, normalised channel by channel: the table is `to_tensor` itself."""
    spec = PreprocessSpec(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = on_host(kernels, pixels, (16, 16), 16, 0, 1, spec, half=False)
    np.testing.assert_array_equal(made[0], to_tensor(pixels, spec))
    assert len(np.unique(made)) > 700


@pytest.mark.parametrize("half", [False, True])
def test_the_whole_image_is_one_tile(kernels: HostKernels, half: bool) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (48, 48), dtype=np.uint8)
    made = on_host(kernels, pixels, (48, 48), 48, 0, 1, PreprocessSpec(), half=half)
    np.testing.assert_array_equal(made[0], to_tensor(pixels, PreprocessSpec()).astype(made.dtype))


def test_every_colour_becomes_grey_as_in_opencv(kernels: HostKernels) -> None:
    """All greens and blues at some reds, for a network of one channel."""
    spec = PreprocessSpec(channels=1)
    rgb = np.empty((256, 256, 3), np.uint8)
    for red in range(0, 256, 15):
        rgb[..., 0], rgb[..., 1], rgb[..., 2] = red, np.arange(256)[:, None], np.arange(256)[None]
        made = on_host(kernels, rgb, (256, 256), 256, 0, 1, spec, half=False)
        np.testing.assert_array_equal(made[0], to_tensor(rgb, spec))


def test_bytes_moved() -> None:
    """12 megapixels in batches of 8: pixels of the grid that are looked at, and the tensor."""
    grid_px = grid_size(3072, 3900)
    launch = launches.gather(16, 16, 3072, 3900, 1, grid_px, 512, 0, 8, PreprocessSpec(), 16)
    assert launch.bytes_moved == round(8 * 512 * 512 * 3900 / 4096) + 8 * 3 * 512 * 512 * 4
    last = launches.gather(16, 16, 3072, 3900, 1, grid_px, 512, 47, 8, PreprocessSpec(), 16, half=True)
    assert last.bytes_moved == round(512 * 512 * 3900 / 4096) + 8 * 3 * 512 * 512 * 2
