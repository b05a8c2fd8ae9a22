"""MAGE-Net: enhancement of colour fundus photographs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fundusrt.agreement import measured, share_off
from fundusrt.backends.base import InferenceSession
from fundusrt.enhancement_pipeline import EnhancementPipeline
from fundusrt.enhancement_result import EnhancementResult
from fundusrt.image import FundusImage
from fundusrt.manifest import MageNetManifest
from fundusrt.systems.frame_system import FrameSystem
from fundusrt.systems.system import Comparison, Figure, GoldenAnswer, compare_map, recorded, task_figures
from fundusrt.task_agreement import image_figures

if TYPE_CHECKING:
    from fundusrt.bundle import Bundle

__all__ = ["MageNetSystem"]

# A value within the maps' difference of a half may be rounded either way: one grey level. More than that is rarer.
MAX_LEVELS = 1

_ON_FRAME = ("end-to-end", "frame: max |difference| / range")


class MageNetSystem(FrameSystem[MageNetManifest, EnhancementPipeline]):
    """One enhancement network over the frame."""

    result: ClassVar = EnhancementResult

    def pipeline(
        self,
        manifest: MageNetManifest,
        sessions: Mapping[str, InferenceSession],
        identity: dict[str, Any],
        max_megapixels: float | None = None,
        batch: int = 1,
    ) -> EnhancementPipeline:
        """Return the pipeline over `enhancement`."""
        del batch  # one frame
        return EnhancementPipeline(manifest, sessions, identity, max_megapixels=max_megapixels)

    def compare(self, pipeline: EnhancementPipeline, bundle: Bundle, eye: FundusImage) -> list[Comparison]:
        """Compare the network's answer and the enhanced image."""
        golden = pipeline.manifest.golden
        (answer,) = self.golden_answers(pipeline, bundle).values()
        expected, made = bundle.read_image(golden.result), pipeline(eye).image
        off = Figure(measured("image", "off", share_off(expected, made, MAX_LEVELS)))
        return [
            compare_map("network", answer, certified=_ON_FRAME),
            Comparison("image", "golden and this machine's image", (off, *task_figures(image_figures(expected, made)))),
        ]

    def golden_answers(self, pipeline: EnhancementPipeline, bundle: Bundle) -> dict[str, GoldenAnswer]:
        """Return `enhancement` on the golden frame."""
        golden = pipeline.manifest.golden
        window = recorded(bundle, golden.frame)
        return {"enhancement": GoldenAnswer(window, bundle.read_array(golden.enhanced), pipeline.run_frame(window))}

    def threshold(self, manifest: MageNetManifest) -> None:
        """Return None: nothing is marked."""

    def describe(self, manifest: MageNetManifest) -> list[tuple[str, str]]:
        """Return frame, input and how the enhanced frame becomes an image."""
        return [*super().describe(manifest), ("postprocess", f"{manifest.postprocess.to_native} to the image's size")]
