"""What the systems that see one frame share."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from fundusrt.frame_pipeline import FramePipeline, cut_frame
from fundusrt.image import FundusImage
from fundusrt.manifest import FrameManifest
from fundusrt.result_files import Result
from fundusrt.systems.system import System

__all__ = ["FrameSystem"]

M = TypeVar("M", bound=FrameManifest)
P = TypeVar("P", bound=FramePipeline[Any, Result])


class FrameSystem(System[M, P], Generic[M, P]):
    """One network over the frame around the field of view."""

    def preprocessed(self, manifest: M, eye: FundusImage) -> dict[str, npt.NDArray[np.uint8]]:
        """Return `frame`."""
        return {"frame": cut_frame(eye, manifest)[1]}

    def describe(self, manifest: M) -> list[tuple[str, str]]:
        """Return the frame and the network's input."""
        frame, tensor = manifest.frame, manifest.input
        size = f"{frame.height_px} x {frame.width_px} px around the field of view"
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (tensor.mean, tensor.std))
        return [
            ("frame", f"{size}, {frame.shrink} or {frame.enlarge}; outside the field {frame.outside}"),
            ("input", f"{tensor.colour}, {tensor.channels} channels; mean {mean}; std {std}"),
        ]
