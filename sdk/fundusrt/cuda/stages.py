"""The stages of CMWNet on the device, under the names they have on the CPU (`preprocess`, `tiling`, `fusion`).

Each enqueues on a lane's stream and returns where its result will be. The numbers are those of the CPU's stages.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.lane import Lane
from fundusrt.kernels import launches, tables
from fundusrt.manifest import PostprocessSpec, PreprocessSpec, WholeImageSpec
from fundusrt.preprocess import gamma_table
from fundusrt.tiling import TileGrid

__all__ = [
    "check_range",
    "drop_equal_channels",
    "enhance",
    "fuse",
    "fuses_on_device",
    "gather",
    "pack_field",
    "shrink_whole",
    "to_8_bit",
]


def pack_field(fov: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8] | None:
    """Return an (H, W) field of view as (H, ceil(W / 8)) bits for the device; None where it is the whole image."""
    return None if fov.all() else tables.pack_field(fov)


def to_8_bit(lane: Lane, pixels: DeviceArray) -> DeviceArray:
    """`preprocess.to_8_bit`: uint8 as it is, uint16 reduced."""
    if pixels.dtype == np.uint8:
        return pixels
    reduced = lane.array("8 bit", pixels.shape, np.uint8)
    lane.run(launches.reduce_16(pixels.address, reduced.address, pixels.size))
    return reduced


def drop_equal_channels(lane: Lane, pixels: DeviceArray) -> DeviceArray:
    """Return (H, W) for grey images and for (H, W, 3) ones whose channels are equal, else the colours.

    For three channels it waits for the answer, four bytes.
    """
    if len(pixels.shape) == 2:
        return pixels
    count = pixels.shape[0] * pixels.shape[1]
    flag = lane.array("channels differ", (1,), np.uint32)
    lane.zero(flag)
    lane.run(launches.channels_differ(pixels.address, count, flag.address))
    if lane.download(flag)[0]:
        return pixels
    grey = lane.array("grey", pixels.shape[:2], np.uint8)
    lane.run(launches.pick_channel(pixels.address, grey.address, count, 1))
    return grey


def enhance(lane: Lane, pixels: DeviceArray, field: DeviceArray | None, spec: PreprocessSpec) -> DeviceArray:
    """`preprocess.enhance`: contrast evened out, black outside the field of view.

    Args:
        lane: where.
        pixels: (H, W) or (H, W, 3) uint8, channels that are not all equal.
        field: `pack_field` on the device.
        spec: CLAHE and gamma.
    """
    height, width = pixels.shape[:2]
    colour, equalised = len(pixels.shape) == 3, spec.clahe is not None
    histograms = luts = lab = lab_tables = 0
    if spec.clahe is not None:
        counts = lane.array("histograms", (launches.histogram_bytes(spec),), np.uint8)
        lane.zero(counts)
        histograms = counts.address
        luts = lane.array("luts", (spec.clahe.grid**2, 256), np.uint8).address
    if colour and equalised:
        lab = lane.array("lab", pixels.shape, np.uint8).address
        lab_tables = lane.constant("lab", tables.lab()).address
    scratch = launches.EnhanceScratch(
        gamma=lane.constant("gamma", gamma_table(spec.gamma)).address,
        histograms=histograms,
        luts=luts,
        field=0 if field is None else field.address,
        lab=lab,
        lab_tables=lab_tables,
    )
    out = lane.array("enhanced", pixels.shape, np.uint8)
    steps = launches.enhance_colour if colour else launches.enhance_grey
    lane.run(*steps(pixels.address, out.address, height, width, spec, scratch))
    return out


def shrink_whole(lane: Lane, pixels: DeviceArray, spec: WholeImageSpec) -> DeviceArray:
    """`preprocess.shrink_whole`: (H, W[, 3]) uint8 to (size, size[, 3])."""
    height, width = pixels.shape[:2]
    out = lane.array("whole", (spec.size, spec.size, *pixels.shape[2:]), np.uint8)
    lane.run(launches.shrink_whole(pixels.address, out.address, height, width, _channels(pixels), spec))
    return out


def gather(
    lane: Lane,
    pixels: DeviceArray,
    grid_px: tuple[int, int],
    first: int,
    into: DeviceArray,
    spec: PreprocessSpec,
) -> None:
    """`fit_to_grid`, the cutting of tiles and `to_tensor` in one pass, to a network's input.

    Args:
        lane: where.
        pixels: (H, W[, 3]) uint8.
        grid_px: size that the image has on its grid; its own size and one tile for the whole-image network.
        first: index of the first tile, row by row; tiles past the last are zeros.
        into: (batch, C, tile, tile) float32.
        spec: channels, mean and standard deviation.
    """
    height, width = pixels.shape[:2]
    batch, _, tile, _ = into.shape
    table = lane.constant("normalisation", tables.normalisation(spec))
    lane.run(
        launches.gather(
            pixels.address,
            into.address,
            height,
            width,
            _channels(pixels),
            grid_px,
            tile,
            first,
            batch,
            spec,
            table.address,
        )
    )


def check_range(lane: Lane, values: DeviceArray, flag: DeviceArray) -> None:
    """Set bit 0 of a flag that was 0 where a value is no number in [0, 1]."""
    lane.run(launches.check_range(values.address, values.size, flag.address))


def fuses_on_device(spec: PostprocessSpec) -> bool:
    """Return whether `fuse` can do it: up-sampling of probabilities, and CGNR, if any, in one parallel pass."""
    return spec.upsample_on == "prob" and (spec.cgnr.mode == "parallel" or not spec.cgnr.enabled)


def fuse(
    lane: Lane,
    tiles: DeviceArray,
    large: DeviceArray,
    grid: TileGrid,
    field: DeviceArray | None,
    spec: PostprocessSpec,
    mask: DeviceArray,
    probability: DeviceArray | None,
) -> None:
    """`Stitcher`, `upsample`, `fusion.fuse_into`, the threshold and the field of view in one pass.

    Args:
        lane: where.
        tiles: (rows * columns, tile, tile) float32 in [0, 1], in the grid's order.
        large: (h, w) float32 in [0, 1].
        grid: of the tiles.
        field: `pack_field` on the device.
        spec: one that `fuses_on_device`.
        mask: (H, W) uint8, becomes 0 or 255.
        probability: (H, W) float32, or None to leave it out.
    """
    height, width = mask.shape
    lane.run(
        launches.fuse(
            tiles.address,
            large.address,
            mask.address,
            height,
            width,
            (grid.height, grid.width),
            grid.tile,
            (large.shape[0], large.shape[1]),
            spec,
            field=0 if field is None else field.address,
            probability=0 if probability is None else probability.address,
        )
    )


def _channels(pixels: DeviceArray) -> int:
    return pixels.shape[2] if len(pixels.shape) == 3 else 1
