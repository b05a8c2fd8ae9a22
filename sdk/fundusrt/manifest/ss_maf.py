"""The manifest of an SS-MAF bundle: exudates of a colour fundus photograph (SS-MAF paper)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fundusrt.manifest.bundle import check_shape
from fundusrt.manifest.field_frame import FrameGolden, FrameManifest
from fundusrt.manifest.parts import Frozen, Threshold

__all__ = ["ExudateGolden", "ExudatePostprocessSpec", "SsMafManifest"]


class ExudatePostprocessSpec(Frozen, frozen=True):
    """Probability on the frame to a mask: how it is resized to the image (`nearest` in the paper's evaluation)."""

    upsample: Literal["bilinear", "nearest"] = "bilinear"
    threshold: Threshold = 0.5


class ExudateGolden(FrameGolden, frozen=True):
    """`probability` is the float32 map of the network, `mask` the final 0/255 PNG at the image's size."""

    probability: str
    mask: str


class SsMafManifest(FrameManifest, frozen=True):
    """The contents of `bundle.json` of an SS-MAF bundle.

    The network answers the probability of class 1; its output may be a whole number of times larger than its input.
    """

    network_roles: ClassVar = {"segmentation": "frame"}
    required_rungs: ClassVar = ("deployed-form", "torch-to-onnxruntime", "end-to-end", "task")

    system: Literal["ss-maf"]
    task: Literal["segmentation"] = "segmentation"
    label: str
    output_scale: Annotated[int, Field(ge=1, le=8)] = 2
    postprocess: ExudatePostprocessSpec
    golden: ExudateGolden

    @model_validator(mode="after")
    def _output_covers_the_frame(self) -> Self:
        output, scale = self.networks["segmentation"].output, self.output_scale
        check_shape(
            "networks.segmentation.output", output, 1, scale * self.frame.height_px, scale * self.frame.width_px
        )
        return self
