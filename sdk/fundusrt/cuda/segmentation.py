"""CMWNet with every stage on the device: one upload of the 8-bit image, one download of the mask.

    host                         device
    image, field of view  --->   enhance -> +- shrink_whole -> large network ------------+-> fuse (upsample, CGNR,
                                            +- gather tiles -> small network, batches ---+    threshold, field)
    mask, lesions         <---   ---------------------------------------------------------------------+

The field of view is found, and lesions are counted, on the CPU. So is the fusion where the bundle asks for what
`fuses_on_device` refuses; `Provenance.gpu` names the stages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.backends.device_session import DeviceSession
from fundusrt.cuda import stages
from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.lane import Lane
from fundusrt.cuda.runtime import CudaRuntime, LeasedLane
from fundusrt.cuda.timing import DeviceTimer
from fundusrt.cuda.transfers import Transfers
from fundusrt.errors import BackendUnavailable
from fundusrt.fusion import fuse_into
from fundusrt.image import FundusImage
from fundusrt.image_pipeline import ImageInput, no_field_reason
from fundusrt.lesions import find_lesions
from fundusrt.manifest import CmwnetManifest
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.provenance import Quality, TiledProvenance
from fundusrt.results import SegmentationResult
from fundusrt.stages import StageTimer
from fundusrt.stitching import Stitcher
from fundusrt.tiling import TileGrid, grid_size

__all__ = ["CudaSegmentationPipeline"]

Mask = npt.NDArray[np.bool_]
Map = npt.NDArray[np.float32]
Finish = Callable[[StageTimer], tuple[Mask, Map]]
_NOT_KEPT: Map = np.empty((0, 0), np.float32)  # the probability where only the mask was asked for


class CudaSegmentationPipeline(SegmentationPipeline):
    """CMWNet on one GPU; call it with an image. Threads that share it take turns on its lanes.

    `run_whole` and `run_tiles` take and give host arrays, as on the CPU.

    Args:
        manifest: how to pre-process, tile and fuse.
        runtime: the GPU with the networks `large` and `small`; closed with the pipeline.
        identity: the fields of `Provenance` that say what runs.
        max_megapixels: larger image files are refused from their header; None for `read_image`'s default.
    """

    def __init__(
        self,
        manifest: CmwnetManifest,
        runtime: CudaRuntime,
        identity: dict[str, Any],
        *,
        max_megapixels: float | None = None,
    ) -> None:
        self.runtime = runtime
        large, small = DeviceSession(runtime, "large"), DeviceSession(runtime, "small")
        batch = runtime.networks["small"].batch
        super().__init__(manifest, large, small, identity, batch=batch, max_megapixels=max_megapixels)
        self._fuses = stages.fuses_on_device(manifest.postprocess)

    def __call__(self, image: ImageInput) -> SegmentationResult:
        """Segment one image; arguments and errors as of `SegmentationPipeline`.

        The result holds the probability map, so that is downloaded too: four bytes a pixel. `mask` leaves it out.
        """
        timer = StageTimer()
        with timer.stage("decode"):
            eye = self.open_image(image)
        if not eye.fov.any():
            return SegmentationResult.ungradable(eye, timer.ms, self._provenance(eye, None), no_field_reason(eye))
        mask, probability, transfers, notes = self._segment(eye, timer, keep_probability=True)
        with timer.stage("lesions"):
            room = self._kept.take(eye.height * eye.width)
            room = np.empty(eye.height * eye.width, np.float32) if room is None else room
            lesions = find_lesions(mask, probability, eye.mm_per_px, room)
            self._kept.keep(room)
        provenance = self._gpu_provenance(eye, transfers, notes, timer)
        return SegmentationResult(mask, probability, lesions, timer.ms, provenance, Quality(True), eye)

    def mask(self, image: ImageInput, timer: StageTimer | None = None) -> Mask:
        """Return only the (H, W) bool mask of an image, the same as of the whole result; empty where ungradable.

        One upload of the image and its field of view, one download of the mask. An RGB image costs one more download,
        of the four bytes that say whether its channels are equal.

        Args:
            image: as of the call.
            timer: takes the times of the stages.
        """
        timer = timer or StageTimer()
        with timer.stage("decode"):
            eye = self.open_image(image)
        if not eye.fov.any():
            return np.zeros((eye.height, eye.width), bool)
        return self._segment(eye, timer, keep_probability=False)[0]

    def _segment(
        self, eye: FundusImage, timer: StageTimer, *, keep_probability: bool
    ) -> tuple[Mask, Map, Transfers, tuple[str, ...]]:
        with timer.stage("field"):
            bits = stages.pack_field(eye.fov)
        with self.runtime.lease() as leased:
            lane, clock = leased.lane, DeviceTimer(leased.lane)
            sent, *field = lane.upload("image", eye.pixels, *([] if bits is None else [bits]))
            clock.mark("upload")
            tiles, grid = self._run_networks(leased, clock, sent, field[0] if field else None)
            by = self._fuse if self._fuses else self._download_maps
            finish = by(leased, clock, tiles, grid, eye, field, keep_probability)
            ms = clock.take()
            transfers, notes = lane.transfers, leased.notes()
        for stage, spent in ms.items():
            timer.ms[stage] = timer.ms.get(stage, 0.0) + spent
        return *finish(timer), transfers, notes

    def _run_networks(
        self, leased: LeasedLane, clock: DeviceTimer, sent: DeviceArray, field: DeviceArray | None
    ) -> tuple[DeviceArray, TileGrid]:
        """Pre-process, and run both networks; returns the tile network's (n, tile, tile) answers and their grid."""
        lane, spec = leased.lane, self.manifest.preprocess
        large, small = leased.networks["large"], leased.networks["small"]
        pixels = stages.drop_equal_channels(lane, stages.to_8_bit(lane, sent))
        enhanced = stages.enhance(lane, pixels, field, spec)
        whole = stages.shrink_whole(lane, enhanced, self.manifest.whole_image)
        stages.gather(lane, whole, (whole.shape[0], whole.shape[1]), 0, large.input, spec)
        clock.mark("preprocess")
        large.enqueue()
        clock.mark("network_large")
        grid = self._grid(sent.shape[0], sent.shape[1])
        tiles = lane.array("tiles", (len(grid), grid.tile, grid.tile), np.float32)
        batch = small.input.shape[0]
        for first in range(0, len(grid), batch):
            stages.gather(lane, enhanced, (grid.height, grid.width), first, small.input, spec)
            clock.mark("gather")
            small.enqueue()
            count = min(batch, len(grid) - first)
            answer = small.output.first(count)
            lane.copy(answer, DeviceArray(tiles[first].address, answer.shape, answer.dtype))
            clock.mark("network_small")
        return tiles, grid

    def _fuse(
        self,
        leased: LeasedLane,
        clock: DeviceTimer,
        tiles: DeviceArray,
        grid: TileGrid,
        eye: FundusImage,
        field: list[DeviceArray],
        keep_probability: bool,
    ) -> Finish:
        """Fuse on the device and download the answer; there is nothing left to do."""
        lane, pixels = leased.lane, eye.height * eye.width
        p_whole = leased.networks["large"].output[0][0]
        # Mask and flags in one piece, so that one download brings both.
        start = -(-pixels // 4) * 4
        answer = lane.array("answer", (start + 8,), np.uint8)
        mask = DeviceArray(answer.address, (eye.height, eye.width), np.dtype(np.uint8))
        flags = DeviceArray(answer.address + start, (2, 1), np.dtype(np.uint32))
        probability = lane.array("probability", mask.shape, np.float32) if keep_probability else None
        _check_ranges(lane, p_whole, tiles, flags)
        stages.fuse(
            lane, tiles, p_whole, grid, field[0] if field else None, self.manifest.postprocess, mask, probability
        )
        clock.mark("fuse")
        host = lane.download(answer)
        self._refuse(host[start:].view(np.uint32))
        # 0 or 255 to false or true while it is copied out of the lane's memory.
        on = np.bitwise_and(host[:pixels], np.uint8(1)).view(np.bool_).reshape(mask.shape)
        kept = _NOT_KEPT if probability is None else lane.download(probability).copy()
        clock.mark("download")
        return lambda _: (on, kept)

    def _download_maps(
        self,
        leased: LeasedLane,
        clock: DeviceTimer,
        tiles: DeviceArray,
        grid: TileGrid,
        eye: FundusImage,
        field: list[DeviceArray],
        keep_probability: bool,
    ) -> Finish:
        """Download both networks' answers; the fusion on the CPU is left to do, without the lane."""
        del field, keep_probability
        lane, p_whole = leased.lane, leased.networks["large"].output[0][0]
        flags = lane.array("flags", (2, 1), np.uint32)
        _check_ranges(lane, p_whole, tiles, flags)
        self._refuse(lane.download(flags)[:, 0])
        whole = lane.download(p_whole).copy()
        stitcher = Stitcher(grid)
        values = lane.download(tiles)
        for position, tile in enumerate(grid):
            stitcher.add(tile, values[position])
        clock.mark("download")
        return lambda timer: self._fuse_on_cpu(eye, timer, stitcher.result(), whole)

    def _fuse_on_cpu(self, eye: FundusImage, timer: StageTimer, p_grid: Map, p_whole: Map) -> tuple[Mask, Map]:
        with timer.stage("upsample"):
            probability = np.array(self.upsample(p_grid, eye.height, eye.width))
            p_large = self.upsample(p_whole, eye.height, eye.width)
        with timer.stage("fuse"):
            fuse_into(probability, p_large, self.manifest.postprocess, timer)
            probability *= eye.fov
            return probability >= np.float32(self.manifest.postprocess.threshold), probability

    def _refuse(self, flags: npt.NDArray[Any]) -> None:
        """Raise for a network that answered something else than probabilities."""
        for name, flag in zip(("large", "small"), flags, strict=True):
            if flag:
                raise BackendUnavailable(
                    f"network {name!r} on {self.sessions[name].name}",
                    got="values outside [0, 1], or no numbers",
                    expected="probabilities in [0, 1]",
                    fix="run `fundusrt verify` on this machine",
                )

    def _grid(self, height: int, width: int) -> TileGrid:
        tile = self.manifest.tile
        return TileGrid.cover(*grid_size(height, width, tile.size, tile.round), tile=tile.size)

    def _gpu_provenance(
        self, eye: FundusImage, transfers: Transfers, notes: tuple[str, ...], timer: StageTimer
    ) -> TiledProvenance:
        on_cpu = ("decode", "field", *(() if self._fuses else ("upsample", "cgnr", "fuse")), "lesions")
        work = self.runtime.work(transfers, tuple(stage for stage in on_cpu if stage in timer.ms))
        grid = self._grid(eye.height, eye.width)
        return TiledProvenance(
            grid_px=(grid.height, grid.width),
            tiles=len(grid),
            options=self.manifest.postprocess.model_dump(),
            **self._origin(eye, work, notes),
        )


def _check_ranges(lane: Lane, p_whole: DeviceArray, tiles: DeviceArray, flags: DeviceArray) -> None:
    """Set (2, 1) uint32 flags where the whole-image map or the tiles hold anything but probabilities."""
    lane.zero(flags)
    for flag, values in enumerate((p_whole, tiles)):
        stages.check_range(lane, values, flags[flag])
