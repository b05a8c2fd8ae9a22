"""CMWNet: leakage in ultra-widefield angiograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from fundusrt.backends.base import InferenceSession
from fundusrt.image import FundusImage
from fundusrt.manifest import CmwnetManifest
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole
from fundusrt.results import SegmentationResult
from fundusrt.systems.system import Comparison, System, compare_map, compare_mask, recorded

if TYPE_CHECKING:
    from fundusrt.bundle import Bundle

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
    ) -> SegmentationPipeline:
        """Return the pipeline over `large` and `small`."""
        large, small = sessions["large"], sessions["small"]
        return SegmentationPipeline(manifest, large, small, identity, max_megapixels=max_megapixels)

    def preprocessed(self, manifest: CmwnetManifest, eye: FundusImage) -> dict[str, npt.NDArray[np.uint8]]:
        """Return `grid` and `whole`."""
        enhanced = enhance(eye, manifest.preprocess)
        return {
            "grid": fit_to_grid(enhanced, manifest.tile),
            "whole": shrink_whole(enhanced, manifest.whole_image),
        }

    def compare(self, pipeline: SegmentationPipeline, bundle: Bundle, eye: FundusImage) -> list[Comparison]:
        """Compare both branches' maps and the mask."""
        golden = pipeline.manifest.golden
        p_whole = pipeline.run_whole(recorded(bundle, golden.whole))
        p_grid = pipeline.run_tiles(recorded(bundle, golden.grid))
        return [
            compare_map("network-large", p_whole, bundle, golden.large, "probability"),
            compare_map("network-small", p_grid, bundle, golden.small, "probability"),
            compare_mask(pipeline(eye).mask, bundle, golden.mask),
        ]

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
