"""One image through the system: pre-process, both networks, stitch, fuse, measure.

    read_image -> enhance -> +- shrink_whole -> large network -> upsample ----+-> fuse (CGNR inside) -> mask -> lesions
                             +- fit_to_grid -> tiles -> small -> Stitcher ----+

Everything that could differ between two deployments (sizes, contrast, thresholds, orders) comes from the manifest.
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.backends.base import InferenceSession
from fundusrt.errors import InvalidInput
from fundusrt.fusion import fuse_into
from fundusrt.image import FundusImage
from fundusrt.image_pipeline import ImageInput, ImagePipeline, no_field_reason
from fundusrt.lesions import find_lesions
from fundusrt.manifest import CmwnetManifest
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole, to_tensor
from fundusrt.provenance import Quality, TiledProvenance
from fundusrt.results import SegmentationResult
from fundusrt.stages import StageTimer
from fundusrt.stitching import Stitcher
from fundusrt.tiling import TileGrid

__all__ = ["SegmentationPipeline"]

Bytes = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

# A power of two, so that 1 - margin and 1 - (1 - margin) are exact in float32; with 1e-6 the logit near 1 is 1 % off.
_LOGIT_MARGIN = np.float32(2.0**-20)

_KEPT_BYTES = 64 * 2**20  # enough for a 16-megapixel map


class SegmentationPipeline(ImagePipeline[CmwnetManifest, SegmentationResult]):
    """CMWNet: whole-image and tile network over one manifest; call it with an image.

    It keeps nothing of an image, only, for each thread, memory for the next one; several threads may share it.

    Args:
        manifest: how to pre-process, tile and fuse.
        large: the whole-image network.
        small: the tile network.
        identity: the fields of `Provenance` that say what runs (bundle, backend, device, precision, versions).
        batch: tiles per network call; the last batch is padded with zeros.
        max_megapixels: larger image files are refused from their header; None for `read_image`'s default.
    """

    def __init__(
        self,
        manifest: CmwnetManifest,
        large: InferenceSession,
        small: InferenceSession,
        identity: dict[str, Any],
        *,
        batch: int = 1,
        max_megapixels: float | None = None,
    ) -> None:
        if batch < 1:
            raise InvalidInput("batch", got=batch, expected="at least 1", fix="1 is the default")
        super().__init__(manifest, {"large": large, "small": small}, identity, max_megapixels=max_megapixels)
        self.large = large
        self.small = small
        self._batch = batch
        self._kept = _KeptMemory()

    def __call__(self, image: ImageInput) -> SegmentationResult:
        """Segment one image.

        Args:
            image: a file, an (H, W) or (H, W, 3) RGB uint8/uint16 array, or a FundusImage.

        Raises:
            InvalidInput: the image cannot be used.
        """
        timer = StageTimer()
        with timer.stage("decode"):
            eye = self.open_image(image)
        if not eye.fov.any():
            return SegmentationResult.ungradable(eye, timer.ms, self._provenance(eye, None), no_field_reason(eye))
        with timer.stage("preprocess"):
            enhanced = enhance(eye, self.manifest.preprocess)
            whole = shrink_whole(enhanced, self.manifest.whole_image)
            on_grid = fit_to_grid(enhanced, self.manifest.tile)
        with timer.stage("network_large"):
            p_whole = self.run_whole(whole)
        p_grid = self.run_tiles(on_grid, timer, self._kept.take(on_grid.shape[0] * on_grid.shape[1]))
        with timer.stage("upsample"):
            probability = self.upsample(p_grid, eye.height, eye.width)
            # 50 MB each at 12 megapixels: the stitched map has served, its memory takes the next one.
            spare = None if probability is p_grid else p_grid.reshape(-1)
            p_large = self.upsample(p_whole, eye.height, eye.width, spare)
            del p_grid
        with timer.stage("fuse"):
            fuse_into(probability, p_large, self.manifest.postprocess, timer)
            probability *= eye.fov
            mask = probability >= np.float32(self.manifest.postprocess.threshold)
            room = spare if spare is not None else p_large.reshape(-1)
            del p_large, spare
        with timer.stage("lesions"):
            lesions = find_lesions(mask, probability, eye.mm_per_px, room)
            self._kept.keep(room)
        return SegmentationResult(
            mask, probability, lesions, timer.ms, self._provenance(eye, on_grid), Quality(True), eye
        )

    def run_whole(self, whole: Bytes) -> Map:
        """Run the whole-image network on (size, size[, 3]) uint8; returns (size, size) float32 in [0, 1]."""
        return self._probability("large", to_tensor(whole, self.manifest.preprocess)[None])[0]

    def run_tiles(self, on_grid: Bytes, timer: StageTimer | None = None, room: Map | None = None) -> Map:
        """Run the tile network over a grid-sized uint8 image; returns its (H, W) float32 map in [0, 1].

        `room`: H x W float32 values in one row, whose memory the map may take.
        """
        timer = timer or StageTimer()
        grid = TileGrid.cover(*on_grid.shape[:2], tile=self.manifest.tile.size)
        stitcher = Stitcher(grid, None if room is None else room.reshape(grid.height, grid.width))
        padding = np.zeros((self.manifest.preprocess.channels, grid.tile, grid.tile), np.float32)
        tiles = iter(grid)
        while chunk := list(islice(tiles, self._batch)):
            with timer.stage("gather"):
                tensors = [to_tensor(on_grid[tile.window], self.manifest.preprocess) for tile in chunk]
                tensors += [padding] * (self._batch - len(chunk))
                feed = tensors[0][None] if self._batch == 1 else np.stack(tensors)
            with timer.stage("network_small"):
                values = self._probability("small", feed)
            with timer.stage("stitch"):
                for position, tile in enumerate(chunk):
                    stitcher.add(tile, values[position])
        return stitcher.result()

    def upsample(self, p: Map, height: int, width: int, spare: Map | None = None) -> Map:
        """Resize a map to (height, width), bilinear at pixel centres (align_corners False), on probability or logit.

        Args:
            p: (h, w) float32 in [0, 1].
            height: rows of the result.
            width: columns of the result.
            spare: a contiguous float32 array nobody needs any more; the result may take its memory.

        Returns:
            (height, width) float32; `p` itself where it has that size.
        """
        import cv2

        if p.shape == (height, width):
            return p
        if self.manifest.postprocess.upsample_on == "prob":
            room = None
            if spare is not None and spare.size >= height * width:
                room = spare.reshape(-1)[: height * width].reshape(height, width)
            return np.asarray(cv2.resize(p, (width, height), dst=room, interpolation=cv2.INTER_LINEAR), np.float32)
        clipped = np.clip(p, _LOGIT_MARGIN, np.float32(1.0) - _LOGIT_MARGIN)
        logit = np.log(clipped / (1.0 - clipped))
        resized = cv2.resize(logit, (width, height), interpolation=cv2.INTER_LINEAR)
        return (1.0 / (1.0 + np.exp(-resized))).astype(np.float32)

    def close(self) -> None:
        """Free both networks and the memory kept for the next image."""
        self._kept = _KeptMemory()
        super().close()

    def _probability(self, name: str, feed: Map) -> Map:
        """Return the (N, H, W) output; logits from a network are an error, not a mask without lesions."""
        return self._run(name, feed, within=(0.0, 1.0), expected="probabilities in [0, 1]")[:, 0]

    def _provenance(self, eye: FundusImage, on_grid: Bytes | None) -> TiledProvenance:
        grid_px = (0, 0) if on_grid is None else (on_grid.shape[0], on_grid.shape[1])
        side = self.manifest.tile.size
        return TiledProvenance(
            grid_px=grid_px,
            tiles=(grid_px[0] // side) * (grid_px[1] // side),
            options=self.manifest.postprocess.model_dump(),
            **self._origin(eye),
        )


class _KeptMemory(threading.local):
    """One map's memory from image to image, each thread its own.

    The first touch of fresh memory is what such a map costs, most of all in a virtual machine that gives free memory
    back to its host: 150 ms of 50 MB there.
    """

    floats: Map | None = None

    def take(self, count: int) -> Map | None:
        """Return `count` float32 values in one row whose content does not matter, or None."""
        kept, self.floats = self.floats, None
        return kept[:count] if kept is not None and kept.size >= count else None

    def keep(self, floats: Map) -> None:
        """Keep a flat contiguous array that nobody uses any more, unless it is large."""
        self.floats = floats if floats.nbytes <= _KEPT_BYTES else None
