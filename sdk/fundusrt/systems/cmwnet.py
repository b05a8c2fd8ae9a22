"""CMWNet: leakage in ultra-widefield angiograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from fundusrt.agreement import largest_difference, measured
from fundusrt.backends.base import InferenceSession
from fundusrt.cgnr_definition import cgnr_rung
from fundusrt.image import FundusImage
from fundusrt.ladder import LADDER, limit_of
from fundusrt.manifest import CmwnetManifest
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole
from fundusrt.results import SegmentationResult
from fundusrt.systems.system import Comparison, Figure, GoldenAnswer, System, compare_map, compare_mask, recorded
from fundusrt.tile_agreement import seam_difference, tiles_one_by_one

if TYPE_CHECKING:
    from fundusrt.bundle import Bundle
    from fundusrt.cuda.runtime import CudaRuntime

__all__ = ["CmwnetSystem"]


class CmwnetSystem(System[CmwnetManifest, SegmentationPipeline]):
    """Two branches over tiles and whole image."""

    result: ClassVar = SegmentationResult
    has_sample: ClassVar = True

    def pipeline(
        self,
        manifest: CmwnetManifest,
        sessions: Mapping[str, InferenceSession],
        identity: dict[str, Any],
        max_megapixels: float | None = None,
        batch: int = 1,
    ) -> SegmentationPipeline:
        """Return the pipeline over `large` and `small`."""
        large, small = sessions["large"], sessions["small"]
        return SegmentationPipeline(manifest, large, small, identity, batch=batch, max_megapixels=max_megapixels)

    def cuda_pipeline(
        self,
        manifest: CmwnetManifest,
        runtime: CudaRuntime,
        identity: dict[str, Any],
        max_megapixels: float | None = None,
    ) -> SegmentationPipeline:
        """Return the pipeline with all stages on the device."""
        from fundusrt.cuda.segmentation import CudaSegmentationPipeline

        return CudaSegmentationPipeline(manifest, runtime, identity, max_megapixels=max_megapixels)

    def preprocessed(self, manifest: CmwnetManifest, eye: FundusImage) -> dict[str, npt.NDArray[np.uint8]]:
        """Return `grid` and `whole`."""
        enhanced = enhance(eye, manifest.preprocess)
        return {
            "grid": fit_to_grid(enhanced, manifest.tile),
            "whole": shrink_whole(enhanced, manifest.whole_image),
        }

    def compare(self, pipeline: SegmentationPipeline, bundle: Bundle, eye: FundusImage) -> list[Comparison]:
        """Compare both branches' maps and the seams between tiles, the stitching, the refinement, and the mask."""
        manifest = pipeline.manifest
        rung, answers = "tiled-to-stitched", self.golden_answers(pipeline, bundle)
        large, small = answers["large"], answers["small"]
        p_whole, p_grid, on_grid = large.made[0], small.made[0], small.window
        tiles = compare_map("network-small", small, certified=(rung, "stitched tile map: max |difference|"))
        jumps = seam_difference(small.expected[0], p_grid, manifest.tile.size)
        seam = Figure(measured(rung, "seam", jumps), (rung, limit_of(rung, "seam").metric))
        alone = largest_difference(tiles_one_by_one(pipeline, on_grid), p_grid)
        p_large, p_small = (pipeline.upsample(p, eye.height, eye.width) for p in (p_whole, p_grid))
        refined = cgnr_rung(p_large, p_small, manifest.postprocess, {})
        switched = tuple(Figure(each, ("cgnr", each.metric)) for each in refined.measurements)
        return [
            compare_map("network-large", large, certified=(rung, "whole-image map: max |difference|")),
            tiles._replace(figures=(*tiles.figures, seam)),
            Comparison("stitched", LADDER["stitched"].compares, (Figure(measured("stitched", "difference", alone)),)),
            Comparison(refined.name, refined.compares, switched),
            compare_mask(pipeline(eye).mask, bundle, manifest.golden.mask, certified=rung),
        ]

    def golden_answers(self, pipeline: SegmentationPipeline, bundle: Bundle) -> dict[str, GoldenAnswer]:
        """Return `large` on the shrunken golden image and `small` on its tiles, stitched."""
        golden = pipeline.manifest.golden
        whole, on_grid = recorded(bundle, golden.whole), recorded(bundle, golden.grid)
        large, small = bundle.read_array(golden.large), bundle.read_array(golden.small)
        return {
            "large": GoldenAnswer(whole, large[None], pipeline.run_whole(whole)[None]),
            "small": GoldenAnswer(on_grid, small[None], pipeline.run_tiles(on_grid)[None]),
        }

    def threshold(self, manifest: CmwnetManifest) -> float:
        """Return the manifest's."""
        return manifest.postprocess.threshold

    def describe(self, manifest: CmwnetManifest) -> list[tuple[str, str]]:
        """Return contrast, tiles and fusion."""
        clahe, post = manifest.preprocess.clahe, manifest.postprocess
        contrast = (
            "none" if clahe is None else f"CLAHE clip {clahe.clip:g}, grid {clahe.grid} on {clahe.space} lightness"
        )
        whole = f"whole image {manifest.whole_image.size} px ({manifest.whole_image.interpolation})"
        refinement = f"CGNR {post.cgnr.mode}" if post.cgnr.enabled else "no CGNR"
        return [
            ("marks", manifest.label),
            ("preprocess", f"{contrast}; gamma {manifest.preprocess.gamma:g}; {manifest.preprocess.channels} channels"),
            ("tiles", f"{manifest.tile.size} px, sides rounded {manifest.tile.round}; {whole}"),
            ("postprocess", f"{post.order}, {refinement}, w_large {post.w_large:g}, threshold {post.threshold:g}"),
        ]
