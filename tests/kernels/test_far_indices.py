"""More elements than 32 bits can count: the blocks at the far end of a grid, on sparse memory.

Only the last blocks run and only their pages exist, so that gigabytes cost nothing; a wrapped index would write
elsewhere, or end the process.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fundusrt.fusion import fuse
from fundusrt.kernels import launches, tables
from fundusrt.kernels.launch import Launch
from fundusrt.manifest import ClaheSpec, PostprocessSpec, PreprocessSpec, WholeImageSpec
from fundusrt.preprocess import gamma_table, to_8_bit
from fundusrt.tiling import TileGrid
from tests.kernels.host_kernels import HostKernels, HostMemory, address

SIDE = 50_000  # SIDE squared is above 2^31, and so is every last row of tiles
COLOUR_SIDE = 27_000  # three times its square is
FAR = 2**31 + 1000


@pytest.fixture
def sparse(tmp_path: Path) -> Any:
    """Make arrays in files without content, which read as 0 and take room only where they are written."""

    def make(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        name = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        return np.memmap(name, dtype, mode="w+", shape=shape)

    return make


def last_blocks(launch: Launch, count: int = 1) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The last blocks along x of the last row of blocks."""
    x, y, z = launch.grid
    return (max(0, x - count), y - 1, z - 1), launch.grid


def test_16_bit_values(kernels: HostKernels, sparse: Any) -> None:
    source, made = sparse((FAR,), np.uint16), sparse((FAR,), np.uint8)
    source[-8:] = np.arange(8) * 9000
    launch = launches.reduce_16(address(source), address(made), FAR)
    kernels.run(launch, last_blocks(launch))
    np.testing.assert_array_equal(made[-8:], to_8_bit(source[-8:]))


def test_one_channel(kernels: HostKernels, sparse: Any) -> None:
    source, made = sparse((FAR // 3, 3), np.uint8), sparse((FAR // 3,), np.uint8)
    source[-8:, 1] = np.arange(8) + 100
    launch = launches.pick_channel(address(source), address(made), FAR // 3, 1)
    kernels.run(launch, last_blocks(launch))
    np.testing.assert_array_equal(made[-8:], np.arange(8) + 100)


def test_one_coloured_pixel(kernels: HostKernels, sparse: Any, memory: HostMemory) -> None:
    """The last step of the loop, by a grid that has a thread for each pixel."""
    source, flag = sparse((FAR // 3, 3), np.uint8), memory.empty((1,), np.uint32)
    flag[0] = 0
    launch = launches.channels_differ(address(source), FAR // 3, address(flag))
    last = replace(launch, grid=(-(-(FAR // 3) // 256), 1, 1))
    kernels.run(last, last_blocks(last))
    assert flag[0] == 0
    source[-1, 2] = 1
    kernels.run(last, last_blocks(last))
    assert flag[0] == 1


def test_counting(kernels: HostKernels, sparse: Any, memory: HostMemory) -> None:
    """One tile of CLAHE, the whole image; a run of 16 pixels a thread."""
    source, histogram = sparse((SIDE, SIDE), np.uint8), memory.empty((256,), np.uint32)
    histogram[...] = 0
    scratch = launches.EnhanceScratch(gamma=16, histograms=address(histogram), luts=16)
    spec = PreprocessSpec(clahe=ClaheSpec(grid=1))
    launch = launches.enhance_grey(address(source), 16, SIDE, SIDE, spec, scratch)[0]
    jobs = SIDE * (SIDE // 16)
    last = replace(launch, grid=(-(-jobs // 256), 1, 1))
    counted = 16 * ((jobs - 1) % 256 + 1)  # pixels of the last block, all in the last row
    source[-1, -counted:] = np.arange(counted) % 251
    kernels.run(last, last_blocks(last))
    np.testing.assert_array_equal(histogram, np.bincount(np.arange(counted) % 251, minlength=256))


def colours(sparse: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A colour image of more than 2^31 bytes, one to write, and the last 64 pixels of the first."""
    source, made = (sparse((COLOUR_SIDE, COLOUR_SIDE, 3), np.uint8) for _ in range(2))
    source[-1, -64:] = np.random.default_rng(6).integers(0, 256, (64, 3), dtype=np.uint8)
    return source, made, np.array(source[-1:, -64:])


def test_colours_to_lab(kernels: HostKernels, sparse: Any, memory: HostMemory) -> None:
    source, lab, corner = colours(sparse)
    scratch = launches.EnhanceScratch(gamma=16, lab=address(lab), lab_tables=memory.copy(tables.lab()))
    launch = launches.enhance_colour(address(source), 16, COLOUR_SIDE, COLOUR_SIDE, PreprocessSpec(), scratch)[0]
    kernels.run(launch, last_blocks(launch))
    np.testing.assert_array_equal(lab[-1:, -64:], cv2.cvtColor(corner, cv2.COLOR_RGB2LAB))


@pytest.mark.parametrize("clahe", [None, ClaheSpec(grid=1)])
def test_colours_enhanced(kernels: HostKernels, sparse: Any, memory: HostMemory, clahe: ClaheSpec | None) -> None:
    """The last kernel of either way, with a table that leaves the lightness as it is."""
    source, made, corner = colours(sparse)
    spec = PreprocessSpec(clahe=clahe)
    scratch = launches.EnhanceScratch(
        gamma=memory.copy(gamma_table(spec.gamma)), luts=memory.copy(np.arange(256, dtype=np.uint8)),
        lab=address(source), lab_tables=memory.copy(tables.lab()),
    )  # fmt: skip
    launch = launches.enhance_colour(address(source), address(made), COLOUR_SIDE, COLOUR_SIDE, spec, scratch)[-1]
    kernels.run(launch, last_blocks(launch))
    rgb = corner if clahe is None else cv2.cvtColor(corner, cv2.COLOR_LAB2RGB)
    np.testing.assert_array_equal(made[-1:, -64:], gamma_table(spec.gamma)[rgb])


@pytest.mark.parametrize(
    ("side", "interpolation", "kernel"),
    [
        (SIDE, "area", "frt_shrink_blocks"),
        (SIDE + 1, "area", "frt_shrink_area"),
        (SIDE, "bilinear", "frt_resize_linear"),
    ],
)
def test_shrinking(
    kernels: HostKernels, sparse: Any, memory: HostMemory, side: int, interpolation: Any, kernel: str
) -> None:
    """The last pixels of the small image, from a corner of one shade."""
    size, shade = 500, 77
    source, made = sparse((side, side), np.uint8), memory.empty((size, size), np.uint8)
    source[-300:, -1000:] = shade
    spec = WholeImageSpec(size=size, interpolation=interpolation)
    launch = launches.shrink_whole(address(source), address(made), side, side, 1, spec)
    assert launch.kernel == kernel
    kernels.run(launch, last_blocks(launch))
    np.testing.assert_array_equal(made[-1, -9:], shade)
    assert made[-1, -12] == 0


def test_contrast(kernels: HostKernels, sparse: Any, memory: HostMemory) -> None:
    """The last row, one table everywhere: what comes out is the table's value through gamma, inside the field."""
    source, made = sparse((SIDE, SIDE), np.uint8), sparse((SIDE, SIDE), np.uint8)
    source[-1, -64:] = np.arange(64) + 80
    fields = sparse((SIDE, SIDE // 8), np.uint8)
    fields[-1] = 255
    fields[-1, -1] = 0b0111_1111  # the last pixel is outside
    lut = np.arange(256, dtype=np.uint8)[::-1].copy()
    spec = PreprocessSpec(clahe=ClaheSpec(grid=1))
    scratch = launches.EnhanceScratch(
        gamma=memory.copy(gamma_table(spec.gamma)), luts=memory.copy(lut), field=address(fields)
    )
    launch = launches.enhance_grey(address(source), address(made), SIDE, SIDE, spec, scratch)[-1]
    kernels.run(launch, last_blocks(launch))
    expected = gamma_table(spec.gamma)[lut[np.arange(64) + 80]]
    expected[-1] = 0
    np.testing.assert_array_equal(made[-1, -64:], expected)


@pytest.mark.parametrize("half", [False, True])
def test_tiles(kernels: HostKernels, sparse: Any, memory: HostMemory, half: bool) -> None:
    """The last tile of an image of its own size, into the last place of a batch."""
    tile = 500
    source, spec = sparse((SIDE, SIDE), np.uint8), PreprocessSpec(channels=1)
    corner = np.random.default_rng(1).integers(0, 256, (8, tile), dtype=np.uint8)
    source[-8:, -tile:] = corner
    out = memory.empty((1, 1, tile, tile), np.float16 if half else np.float32)
    table, last = tables.normalisation(spec, half=half), (SIDE // tile) ** 2 - 1
    launch = launches.gather(
        address(source), address(out), SIDE, SIDE, 1, (SIDE, SIDE), tile, last, 1, spec, memory.copy(table), half=half
    )
    kernels.run(launch)
    np.testing.assert_array_equal(out[0, 0, -8:], table[0][corner])


def test_a_large_batch(kernels: HostKernels, sparse: Any, memory: HostMemory) -> None:
    """An output of more than 2^31 values: the last rows of the last tile."""
    tile, batch, spec = 1024, 2050, PreprocessSpec(channels=1)
    out = sparse((batch, 1, tile, tile), np.float32)
    pixels = np.random.default_rng(2).integers(0, 256, (64, 64), dtype=np.uint8)
    table = tables.normalisation(spec)
    # One column of tiles, stretched from a small image: rows repeat.
    launch = launches.gather(
        memory.copy(pixels), address(out), 64, 64, 1, (tile * batch, tile), tile, 0, batch, spec, memory.copy(table)
    )
    kernels.run(launch, last_blocks(launch, count=launch.grid[0]))
    np.testing.assert_array_equal(out[-1, 0, -4:], np.repeat(np.repeat(table[0][pixels[-1:]], 16, axis=1), 4, axis=0))


def test_stitching(kernels: HostKernels, sparse: Any) -> None:
    tile = 500
    grid = TileGrid.cover(SIDE, SIDE, tile)
    tiles, made = sparse((len(grid), tile, tile), np.float32), sparse((SIDE, SIDE), np.float32)
    tiles[-1, -1] = np.arange(tile, dtype=np.float32)
    launch = launches.stitch(address(tiles), address(made), grid)
    kernels.run(launch, last_blocks(launch))
    np.testing.assert_array_equal(made[-1, -60:], tiles[-1, -1, -60:])


@pytest.mark.parametrize("tile", [500, None])
def test_the_fused_pass(kernels: HostKernels, sparse: Any, tile: int | None) -> None:
    """The last strip of the last band, of the image's own size, so that the CPU can do that corner alone."""
    small, large = sparse((SIDE, SIDE), np.float32), sparse((512, 512), np.float32)
    mask, probability = sparse((SIDE, SIDE), np.uint8), sparse((SIDE, SIDE), np.float32)
    corner = np.random.default_rng(3).random((32, 60), np.float32)
    if tile is None:
        small[-32:, -60:] = corner
    else:
        small.reshape(-1, tile, tile)[-1, -32:, -60:] = corner
    launch = launches.fuse(
        address(small), address(large), address(mask), SIDE, SIDE, (SIDE, SIDE), tile, (512, 512), PostprocessSpec(),
        probability=address(probability),
    )  # fmt: skip
    kernels.run(launch, last_blocks(launch))
    expected = fuse(np.zeros_like(corner), corner, PostprocessSpec())
    done = np.s_[-((SIDE - 1) % 32 + 1) :, -((SIDE - 1) % 60 + 1) :]  # of the last band, the last strip
    np.testing.assert_array_equal(probability[done], expected[done])
    np.testing.assert_array_equal(mask[done] > 0, expected[done] >= np.float32(0.5))


def test_values_outside(kernels: HostKernels, sparse: Any, memory: HostMemory) -> None:
    """Four values a step: the last step, by a grid that has a thread for each."""
    count = 4 * FAR
    values, flag = sparse((count,), np.float32), memory.empty((1,), np.uint32)
    flag[0] = 0
    values[-1] = np.nan
    launch = launches.check_range(address(values), count, address(flag))
    last = replace(launch, grid=(-(-FAR // 256), 1, 1))
    kernels.run(last, last_blocks(last))
    assert flag[0] == 1
