"""The manifest of a MAGE-Net bundle: enhancement of a colour fundus photograph (MAGE-Net paper)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from fundusrt.manifest.bundle import check_shape
from fundusrt.manifest.field_frame import FrameGolden, FrameManifest
from fundusrt.manifest.parts import Frozen

__all__ = ["EnhancementGolden", "EnhancementPostprocessSpec", "MageNetManifest"]


class EnhancementPostprocessSpec(Frozen, frozen=True):
    """Enhanced frame to the image's own size.

    `residual`: what the network changed is resized and added to the image, whose own detail stays; `direct`: the
    enhanced frame itself is resized.
    """

    to_native: Literal["residual", "direct"] = "residual"


class EnhancementGolden(FrameGolden, frozen=True):
    """`enhanced` is the float32 output of the network, `result` the final RGB PNG at the image's size."""

    enhanced: str
    result: str


class MageNetManifest(FrameManifest, frozen=True):
    """The contents of `bundle.json` of a MAGE-Net bundle. The network maps RGB in [0, 1] to RGB, not clipped."""

    network_roles: ClassVar = {"enhancement": "frame"}
    required_rungs: ClassVar = ("deployed-form", "torch-to-onnxruntime", "end-to-end", "task")

    system: Literal["mage-net"]
    task: Literal["enhancement"] = "enhancement"
    postprocess: EnhancementPostprocessSpec
    golden: EnhancementGolden

    @model_validator(mode="after")
    def _maps_colour_to_colour(self) -> Self:
        if self.input.colour != "rgb":
            raise ValueError(f"input.colour: got {self.input.colour}, expected rgb: the answer is a colour image")
        frame, output = self.frame, self.networks["enhancement"].output
        check_shape("networks.enhancement.output", output, 3, frame.height_px, frame.width_px)
        return self
