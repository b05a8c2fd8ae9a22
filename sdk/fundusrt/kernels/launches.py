"""The launches of each device stage, named as the CPU stages they equal.

Addresses are plain integers: device memory of whoever calls, who also keeps it alive and owns the stream. Every
function is pure; launches of a list run in order on one stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fundusrt.errors import BackendUnavailable, InvalidInput
from fundusrt.kernels.launch import MOST_BLOCKS_Y, THREADS, Launch, blocks, f4, i4, i8, pointer
from fundusrt.manifest import ClaheSpec, PostprocessSpec, PreprocessSpec, WholeImageSpec
from fundusrt.tiling import TileGrid

__all__ = [
    "EnhanceScratch",
    "channels_differ",
    "check_range",
    "enhance_colour",
    "enhance_grey",
    "fuse",
    "gather",
    "histogram_bytes",
    "pick_channel",
    "reduce_16",
    "shrink_whole",
    "stitch",
]

_STRIP = 60  # columns of a warp of frt_fuse
_ROWS = 32  # rows of a block of it: the two rows it sees besides cost 6 %
_WARPS = THREADS // 32
_ORDERS = {"cgnr_then_fuse": 0, "fuse_then_cgnr": 1, "cgnr_only": 2}
_SHARED_ROWS = 16  # blocks that share the rows of a CLAHE tile
_STRIDED_BLOCKS = 2048  # enough to fill any GPU; the rest is a loop


@dataclass(frozen=True, slots=True)
class EnhanceScratch:
    """Device addresses that `enhance_grey` and `enhance_colour` need besides the images.

    Attributes:
        gamma: (256,) uint8, `preprocess.gamma_table(spec.gamma)`.
        histograms: `histogram_bytes(spec)` bytes, **all 0 before each image**; 0 without CLAHE.
        luts: (grid, grid, 256) uint8; 0 without CLAHE.
        field: packed field of view (`tables.pack_field`), or 0 where everything is inside.
        lab: (H, W, 3) uint8 for a colour image with CLAHE, else 0.
        lab_tables: `tables.lab()` for a colour image with CLAHE, else 0.
    """

    gamma: int
    histograms: int = 0
    luts: int = 0
    field: int = 0
    lab: int = 0
    lab_tables: int = 0


def histogram_bytes(spec: PreprocessSpec) -> int:
    """Return the size of `EnhanceScratch.histograms`, which must be set to 0 before each image."""
    return 0 if spec.clahe is None else spec.clahe.grid**2 * 256 * 4


def reduce_16(src: int, dst: int, count: int) -> Launch:
    """(count,) uint16 to uint8 as `preprocess.to_8_bit`."""
    return Launch("frt_reduce_16", _line(blocks(count, 4 * THREADS)), _BLOCK, (*_pair(src, dst), i8(count)), 3 * count)


def channels_differ(rgb: int, pixels: int, flag: int) -> Launch:
    """Set the uint32 at `flag`, 0 before, to 1 if any of the (pixels, 3) uint8 has unequal channels."""
    grid = _line(min(blocks(pixels), _STRIDED_BLOCKS))
    return Launch("frt_channels_differ", grid, _BLOCK, (pointer(rgb), i8(pixels), pointer(flag)), 3 * pixels)


def pick_channel(rgb: int, grey: int, pixels: int, channel: int) -> Launch:
    """One channel of (pixels, 3) uint8, as (pixels,)."""
    arguments = (*_pair(rgb, grey), i8(pixels), i4(channel))
    return Launch("frt_pick_channel", _line(blocks(pixels)), _BLOCK, arguments, 4 * pixels)


def enhance_grey(
    src: int, dst: int, height: int, width: int, spec: PreprocessSpec, scratch: EnhanceScratch
) -> list[Launch]:
    """Grey (H, W) uint8 to (H, W) uint8 as `preprocess.enhance`: CLAHE, gamma, black outside the field of view."""
    launches: list[Launch] = []
    luts, tile_height, tile_width, grid = 0, 1, 1, 1
    if spec.clahe is not None:
        launches += _equalising_tables(src, 1, height, width, spec.clahe, scratch)
        grid, luts = spec.clahe.grid, scratch.luts
        tile_height, tile_width = _clahe_tile(height, width, grid)
    arguments = (*_pair(src, dst), i8(height), i8(width), pointer(luts), i8(tile_height), i8(tile_width), i4(grid))
    arguments += _pair(scratch.gamma, scratch.field)
    moved = 2 * height * width + _field_bytes(scratch.field, height, width)
    rows = (blocks(width, 4 * THREADS), min(height, MOST_BLOCKS_Y), 1)
    return [*launches, Launch("frt_enhance_grey", rows, _BLOCK, arguments, moved)]


def enhance_colour(
    src: int, dst: int, height: int, width: int, spec: PreprocessSpec, scratch: EnhanceScratch
) -> list[Launch]:
    """RGB (H, W, 3) uint8 to (H, W, 3) uint8 as `preprocess.enhance`: CLAHE on L of Lab, gamma, field of view."""
    pixels = height * width
    rows = (blocks(width), min(height, MOST_BLOCKS_Y), 1)
    moved = 6 * pixels + _field_bytes(scratch.field, height, width)
    if spec.clahe is None:
        arguments = (*_pair(src, dst), i8(height), i8(width), *_pair(scratch.gamma, scratch.field))
        return [Launch("frt_enhance_rgb", rows, _BLOCK, arguments, moved)]
    to_lab = (*_pair(src, scratch.lab), i8(pixels), pointer(scratch.lab_tables))
    tile_height, tile_width = _clahe_tile(height, width, spec.clahe.grid)
    arguments = (
        *_pair(scratch.lab, dst), i8(height), i8(width), pointer(scratch.luts), i8(tile_height), i8(tile_width),
        i4(spec.clahe.grid), pointer(scratch.lab_tables), *_pair(scratch.gamma, scratch.field),
    )  # fmt: skip
    return [
        Launch("frt_rgb_to_lab", _line(blocks(pixels)), _BLOCK, to_lab, 6 * pixels),
        *_equalising_tables(scratch.lab, 3, height, width, spec.clahe, scratch),
        Launch("frt_enhance_lab", rows, _BLOCK, arguments, moved),
    ]


def shrink_whole(src: int, dst: int, height: int, width: int, channels: int, spec: WholeImageSpec) -> Launch:
    """(H, W[, 3]) uint8 to (size, size[, 3]) uint8 as `preprocess.shrink_whole`."""
    size = spec.size
    arguments = (*_pair(src, dst), i8(height), i8(width), i4(channels), i8(size), i8(size))
    shrinks = height >= size and width >= size
    if spec.interpolation == "area" and shrinks:
        kernel = "frt_shrink_area" if height % size or width % size else "frt_shrink_blocks"
    else:
        kernel, arguments = "frt_resize_linear", (*arguments, i4(spec.interpolation == "area"))
    moved = (height * width + size * size) * channels
    return Launch(kernel, _line(blocks(size * size)), _BLOCK, arguments, moved)


def gather(
    src: int,
    out: int,
    height: int,
    width: int,
    channels: int,
    grid_px: tuple[int, int],
    tile: int,
    first: int,
    batch: int,
    spec: PreprocessSpec,
    table: int,
    *,
    half: bool = False,
) -> Launch:
    """Tiles `first` to `first + batch` of an image as the network's input, resized by the nearest-neighbour size rule.

    Args:
        src: (height, width[, 3]) uint8; `channels` is 1 or 3.
        out: (batch, spec.channels, tile, tile) float32, or float16 where `half`; tiles behind the last one become 0.
        height: of the image, px.
        width: of the image, px.
        channels: of the image.
        grid_px: the size (height, width) it is resized to, multiples of `tile`.
        tile: side of a tile, px.
        first: index of the first tile, in reading order.
        batch: tiles to write.
        spec: how many channels the network takes.
        table: device copy of `tables.normalisation(spec, half=half)`.
        half: write float16.
    """
    arguments = (
        *_pair(src, out), i8(height), i8(width), i4(channels), i8(grid_px[0]), i8(grid_px[1]), i8(tile), i8(first),
        i4(spec.channels), pointer(table),
    )  # fmt: skip
    real = max(0, min(batch, (grid_px[0] // tile) * (grid_px[1] // tile) - first))
    seen = real * tile * tile * min(1.0, height * width / (grid_px[0] * grid_px[1]))
    written = batch * spec.channels * tile * tile * (2 if half else 4)
    grid = (blocks(tile, 4 * 64), blocks(tile, 4), batch)
    kernel = "frt_gather_f16" if half else "frt_gather_f32"
    return Launch(kernel, grid, (64, 4, 1), arguments, round(seen * channels) + written)


def check_range(values: int, count: int, flag: int, within: tuple[float, float] = (0.0, 1.0)) -> Launch:
    """Set the uint32 at `flag`, 0 before, to 1 if any of (count,) float32 is outside the range, or not a number."""
    grid = _line(min(blocks(count, 4 * THREADS), _STRIDED_BLOCKS))
    arguments = (pointer(values), i8(count), f4(within[0]), f4(within[1]), pointer(flag))
    return Launch("frt_check_range", grid, _BLOCK, arguments, 4 * count)


def stitch(tiles: int, out: int, grid: TileGrid, window: int = 0) -> Launch:
    """(n, tile, tile) float32 to the (H, W) float32 map as `Stitcher`; tiles that overlap are averaged.

    `window`: (tile, tile) float32 weights above 0, or 0 for equal ones.
    """
    arguments = (
        pointer(tiles), pointer(window), pointer(out), i8(grid.height), i8(grid.width), i8(grid.tile), i8(grid.rows),
        i8(grid.columns),
    )  # fmt: skip
    rows = (blocks(grid.width), min(grid.height, MOST_BLOCKS_Y), 1)
    moved = 4 * (len(grid) * grid.tile**2 + grid.height * grid.width)
    return Launch("frt_stitch", rows, _BLOCK, arguments, moved)


def fuse(
    p_small: int,
    p_large: int,
    mask: int,
    height: int,
    width: int,
    grid_px: tuple[int, int],
    tile: int | None,
    large_px: tuple[int, int],
    spec: PostprocessSpec,
    *,
    field: int = 0,
    probability: int = 0,
) -> Launch:
    """Both probability maps to the mask, as up-sampling, `fuse_into`, field of view and threshold of the pipeline.

    Args:
        p_small: the tile network's outputs in reading order, (rows * columns, tile, tile) float32; where `tile` is None
            a (grid_px) map.
        p_large: the whole-image network's output, (large_px) float32.
        mask: (height, width) uint8 to write, 0 or 255.
        height: of the image, px.
        width: of the image, px.
        grid_px: height and width covered by the tiles.
        tile: side of a tile, px.
        large_px: height and width of the whole-image map.
        spec: order, threshold, weight; CGNR parallel or off.
        field: packed field of view, or 0 where everything is inside.
        probability: (height, width) float32 to write, or 0 to leave it out.

    Raises:
        BackendUnavailable: a CGNR mode or an up-sampling that this kernel does not have.
        InvalidInput: a row of tiles of 2^30 values or more.
    """
    if spec.cgnr.enabled and spec.cgnr.mode != "parallel":
        raise _absent(f"CGNR mode {spec.cgnr.mode!r}", "mode 'parallel'", "its passes see their own changes")
    if spec.upsample_on != "prob":
        raise _absent(f"up-sampling on {spec.upsample_on!r}", "'prob'", "log and exp round differently on each device")
    if (values := grid_px[1] * (tile or 1)) >= 2**30:  # the kernel addresses a row of tiles in 32 bits, by bytes
        raise InvalidInput(
            "probability map",
            got=f"{values} values in a row of tiles",
            expected="fewer than 2^30",
            fix="crop the image",
        )
    tile_px = grid_px if tile is None else (tile, tile)
    sizes = (height, width, *grid_px, *tile_px, *large_px)
    arguments = (
        *_pair(p_small, p_large), *_pair(field, mask), pointer(probability), *(i8(size) for size in sizes),
        f4(spec.threshold), f4(spec.w_large), i4(_ORDERS[spec.order]), i4(spec.cgnr.enabled), i4(_ROWS),
    )  # fmt: skip
    read = 4 * min(grid_px[0] * grid_px[1], 4 * height * width) + 4 * large_px[0] * large_px[1]
    written = height * width * (5 if probability else 1)
    grid = (blocks(blocks(width, _STRIP), _WARPS), blocks(height, _ROWS), 1)
    moved = read + _field_bytes(field, height, width) + written
    return Launch("frt_fuse", grid, _BLOCK, arguments, moved)


_BLOCK = (THREADS, 1, 1)


def _line(count: int) -> tuple[int, int, int]:
    return count, 1, 1


def _pair(first: int, second: int) -> tuple[np.uint64, np.uint64]:
    return pointer(first), pointer(second)


def _field_bytes(field: int, height: int, width: int) -> int:
    return height * blocks(width, 8) if field else 0


def _clahe_tile(height: int, width: int, grid: int) -> tuple[int, int]:
    """Return the (height, width) px of a CLAHE tile: where one side does not divide, OpenCV extends both."""
    if height % grid == 0 and width % grid == 0:
        return height // grid, width // grid
    return height // grid + 1, width // grid + 1


def _equalising_tables(
    src: int, stride: int, height: int, width: int, spec: ClaheSpec, scratch: EnhanceScratch
) -> list[Launch]:
    tile_height, tile_width = _clahe_tile(height, width, spec.grid)
    area = tile_height * tile_width
    limit = max(int(spec.clip * area / 256), 1)
    count = spec.grid**2
    counting = (
        pointer(src), i4(stride), i8(height), i8(width), i8(tile_height), i8(tile_width), i4(spec.grid),
        pointer(scratch.histograms),
    )  # fmt: skip
    grid = (min(_SHARED_ROWS, blocks(tile_height * blocks(tile_width, 16))), count, 1)
    scale = f4(255.0) / f4(area)
    making = (*_pair(scratch.histograms, scratch.luts), i4(limit), scale)
    return [
        Launch("frt_clahe_histograms", grid, _BLOCK, counting, height * width * stride + count * 1024),
        Launch("frt_clahe_luts", _line(count), _BLOCK, making, count * (1024 + 256)),
    ]


def _absent(got: str, expected: str, reason: str) -> BackendUnavailable:
    return BackendUnavailable(
        "post-processing on the GPU",
        got=f"{got} ({reason})",
        expected=expected,
        fix="run this bundle with device='cpu'",
    )
