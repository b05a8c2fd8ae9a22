"""An SS-MAF bundle and pipeline of a network that marks bright pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fundusrt._tiny_onnx import enlarging_classifier
from fundusrt.backends.fake import FakeSession
from fundusrt.exudate_pipeline import ExudatePipeline
from fundusrt.frame_pipeline import cut_frame
from fundusrt.image import from_array
from fundusrt.manifest import ExudatePostprocessSpec, FrameSpec, InputSpec, SsMafManifest
from fundusrt.testing.assembly import IDENTITY, bright_judge, tiny_fields, tiny_network, write_bundle
from fundusrt.testing.images import tiny_photograph

__all__ = ["fake_exudate_pipeline", "tiny_exudate_bundle", "tiny_exudate_manifest"]

Batch = npt.NDArray[np.float32]

_SLOPE, _BIAS = 30.0, 2.0  # on values of mean 0: sharp, at a level the spots of the tiny photograph exceed
_FILE = "segmentation.onnx"


def tiny_exudate_manifest(
    *,
    frame: FrameSpec | None = None,
    input: InputSpec | None = None,
    output_scale: int = 2,
    postprocess: ExudatePostprocessSpec | None = None,
) -> SsMafManifest:
    """Return the manifest of `tiny_exudate_bundle` with hashes of nothing; `seal_bundle` puts in the real ones."""
    frame = frame or FrameSpec(height_px=96, width_px=96, outside="kept")
    input = input or InputSpec(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    size = frame.height_px, frame.width_px
    answer = (1, output_scale * size[0], output_scale * size[1])
    networks = {"segmentation": tiny_network("frame", _FILE, (input.channels, *size), "probability", answer)}
    golden = {"image": "png", "frame": "npz", "probability": "npz", "mask": "png"}
    return SsMafManifest.model_validate(
        {
            **tiny_fields("ss-maf", "A network of one pixel, for tests.", networks, golden),
            "label": "bright spots",
            "input": input,
            "frame": frame,
            "output_scale": output_scale,
            "postprocess": postprocess or ExudatePostprocessSpec(),
        }
    )


def fake_exudate_pipeline(manifest: SsMafManifest, network: Callable[[Batch], Batch] | None = None) -> ExudatePipeline:
    """Return a pipeline whose network is a Python function.

    Args:
        manifest: e.g. from `tiny_exudate_manifest`.
        network: (N, C, H, W) float32 to (N, 1, kH, kW) float32 in [0, 1], k the manifest's `output_scale`; None for the
            network of `tiny_exudate_bundle`.
    """
    spec, scale = manifest.networks["segmentation"], manifest.output_scale

    def bright(batch: Batch) -> Batch:
        return bright_judge(_SLOPE, _BIAS)(batch).repeat(scale, axis=2).repeat(scale, axis=3)

    return ExudatePipeline(
        manifest, {"segmentation": FakeSession(network or bright, spec.input, spec.output)}, dict(IDENTITY)
    )


def tiny_exudate_bundle(
    folder: str | Path,
    *,
    frame: FrameSpec | None = None,
    input: InputSpec | None = None,
    output_scale: int = 2,
    postprocess: ExudatePostprocessSpec | None = None,
) -> Path:
    """Write a complete, valid SS-MAF bundle of a few kilobytes, with a network that marks bright pixels.

    Args:
        folder: made if it does not exist.
        frame: default: 96 x 96 px, outside kept.
        input: default: RGB, mean and std 0.5.
        output_scale: how many times larger the network's answer is than its input.
        postprocess: default: the manifest's defaults.

    Returns:
        The folder: `fundusrt.load` takes it.
    """
    manifest = tiny_exudate_manifest(frame=frame, input=input, output_scale=output_scale, postprocess=postprocess)
    size, channels = (manifest.frame.height_px, manifest.frame.width_px), manifest.input.channels
    content = enlarging_classifier(*size, [_SLOPE / channels] * channels, _BIAS, output_scale)
    pixels = tiny_photograph()
    framed = cut_frame(from_array(pixels), manifest)[1]
    pipeline = fake_exudate_pipeline(manifest)
    golden = manifest.golden
    arrays = {golden.frame: framed, golden.probability: pipeline.run_frame(framed)}
    mask = pipeline(pixels).mask.astype(np.uint8) * np.uint8(255)
    return write_bundle(folder, manifest, {_FILE: content}, arrays, {golden.image: pixels, golden.mask: mask})
