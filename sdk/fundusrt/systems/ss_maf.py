"""SS-MAF: exudates in colour fundus photographs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fundusrt.backends.base import InferenceSession
from fundusrt.exudate_pipeline import ExudatePipeline
from fundusrt.image import FundusImage
from fundusrt.manifest import SsMafManifest
from fundusrt.results import SegmentationResult
from fundusrt.systems.frame_system import FrameSystem
from fundusrt.systems.system import Comparison, GoldenAnswer, compare_map, compare_mask, recorded

if TYPE_CHECKING:
    from fundusrt.bundle import Bundle

__all__ = ["SsMafSystem"]

_ON_FRAME = ("end-to-end", "map on the frame: max |difference|")


class SsMafSystem(FrameSystem[SsMafManifest, ExudatePipeline]):
    """One segmentation network over the frame."""

    result: ClassVar = SegmentationResult

    def pipeline(
        self,
        manifest: SsMafManifest,
        sessions: Mapping[str, InferenceSession],
        identity: dict[str, Any],
        max_megapixels: float | None = None,
        batch: int = 1,
    ) -> ExudatePipeline:
        """Return the pipeline over `segmentation`."""
        del batch  # one frame
        return ExudatePipeline(manifest, sessions, identity, max_megapixels=max_megapixels)

    def compare(self, pipeline: ExudatePipeline, bundle: Bundle, eye: FundusImage) -> list[Comparison]:
        """Compare the network's map and the mask."""
        golden = pipeline.manifest.golden
        (answer,) = self.golden_answers(pipeline, bundle).values()
        return [
            compare_map("network", answer, certified=_ON_FRAME),
            compare_mask(pipeline(eye).mask, bundle, golden.mask, certified="end-to-end"),
        ]

    def golden_answers(self, pipeline: ExudatePipeline, bundle: Bundle) -> dict[str, GoldenAnswer]:
        """Return `segmentation` on the golden frame."""
        golden = pipeline.manifest.golden
        window = recorded(bundle, golden.frame)
        expected = bundle.read_array(golden.probability)
        return {"segmentation": GoldenAnswer(window, expected[None], pipeline.run_frame(window)[None])}

    def threshold(self, manifest: SsMafManifest) -> float:
        """Return the manifest's."""
        return manifest.postprocess.threshold

    def describe(self, manifest: SsMafManifest) -> list[tuple[str, str]]:
        """Return frame, input and how the map becomes a mask."""
        post = manifest.postprocess
        lines = [("marks", manifest.label), *super().describe(manifest)]
        return [*lines, ("postprocess", f"{post.upsample} to the image's size, threshold {post.threshold:g}")]
