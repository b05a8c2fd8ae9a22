"""What the systems that see one frame share: the frame of an image, and one network call over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fundusrt.backends.device_session import DeviceSession
from fundusrt.field_frame import FieldFrame
from fundusrt.image import FundusImage
from fundusrt.image_pipeline import ImagePipeline
from fundusrt.manifest import FrameManifest
from fundusrt.preprocess import to_8_bit, to_tensor
from fundusrt.provenance import FrameProvenance, GpuWork
from fundusrt.result_files import Result

__all__ = ["FramePipeline", "cut_frame"]

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]
M = TypeVar("M", bound=FrameManifest)
R = TypeVar("R", bound=Result, covariant=True)


def cut_frame(eye: FundusImage, manifest: FrameManifest) -> tuple[FieldFrame, Bytes]:
    """Return the frame of an image and its 8-bit pixels: (h, w) for grey images and `green`, else (h, w, 3) RGB.

    Raises:
        InvalidInput: no field of view, or one too long and narrow for a frame.
    """
    pixels = to_8_bit(eye.pixels)
    if manifest.input.colour == "green" and pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[..., 1])
    frame = FieldFrame.around(eye, manifest.frame)
    return frame, frame.cut(pixels, eye.fov)


class FramePipeline(ImagePipeline[M, R]):
    """A pipeline whose one network sees the frame around the field of view in one call.

    On a GPU only the network runs there: the frame is small, and the rest works on the image at its own size.
    """

    def _answer(self, pixels: Bytes, *, within: tuple[float, float], expected: str) -> Values:
        """Return the network's (C, h, w) float32 answer to the pixels of a frame."""
        feed = to_tensor(pixels, self.manifest.input.tensor_spec())[None]
        return self._run(self.manifest.network_name, feed, within=within, expected=expected)[0]

    def _provenance(
        self, eye: FundusImage, frame: FieldFrame | None, options: dict[str, Any], timings_ms: Mapping[str, float]
    ) -> FrameProvenance:
        spec, session = self.manifest.frame, self.sessions[self.manifest.network_name]
        gpu: GpuWork | None = None
        notes: tuple[str, ...] = ()
        if frame is not None and isinstance(session, DeviceSession):
            gpu, notes = session.last_work(tuple(stage for stage in timings_ms if stage != "network"))
        return FrameProvenance(
            frame=None if frame is None else frame.box,
            input_px=(spec.height_px, spec.width_px),
            options=options,
            **self._origin(eye, gpu, notes),
        )
