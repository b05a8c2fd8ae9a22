"""A MAGE-Net bundle and pipeline of a network that brightens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fundusrt._tiny_onnx import pixel_mixer
from fundusrt.backends.fake import FakeSession
from fundusrt.enhancement_pipeline import EnhancementPipeline
from fundusrt.frame_pipeline import cut_frame
from fundusrt.image import from_array
from fundusrt.manifest import EnhancementPostprocessSpec, FrameSpec, InputSpec, MageNetManifest
from fundusrt.testing.assembly import IDENTITY, tiny_fields, tiny_network, write_bundle
from fundusrt.testing.images import tiny_photograph

__all__ = ["fake_enhancement_pipeline", "tiny_enhancement_bundle", "tiny_enhancement_manifest"]

Batch = npt.NDArray[np.float32]

# Red and blue take a little of green; bright pixels leave [0, 1].
_MIX = ((1.1, 0.1, 0.0), (0.0, 1.3, 0.0), (0.0, 0.2, 1.0))
_OFFSET = (0.05, -0.02, 0.1)
_FILE = "enhancement.onnx"


def tiny_enhancement_manifest(
    *,
    frame: FrameSpec | None = None,
    input: InputSpec | None = None,
    postprocess: EnhancementPostprocessSpec | None = None,
) -> MageNetManifest:
    """Return the manifest of `tiny_enhancement_bundle` with hashes of nothing; `seal_bundle` puts in the real ones."""
    frame = frame or FrameSpec(height_px=96, width_px=96)
    shape = 3, frame.height_px, frame.width_px
    networks = {"enhancement": tiny_network("frame", _FILE, shape, "enhanced", shape)}
    golden = {"image": "png", "frame": "npz", "enhanced": "npz", "result": "png"}
    return MageNetManifest.model_validate(
        {
            **tiny_fields("mage-net", "A network of one pixel, for tests.", networks, golden),
            "input": input or InputSpec(),
            "frame": frame,
            "postprocess": postprocess or EnhancementPostprocessSpec(),
        }
    )


def fake_enhancement_pipeline(
    manifest: MageNetManifest, network: Callable[[Batch], Batch] | None = None
) -> EnhancementPipeline:
    """Return a pipeline whose network is a Python function.

    Args:
        manifest: e.g. from `tiny_enhancement_manifest`.
        network: (N, 3, H, W) float32 to the same; None for the network of `tiny_enhancement_bundle`.
    """
    spec = manifest.networks["enhancement"]

    def brighten(batch: Batch) -> Batch:
        mixed = np.einsum("oc,nchw->nohw", np.asarray(_MIX), batch, dtype=np.float64)
        return (mixed + np.asarray(_OFFSET)[:, None, None]).astype(np.float32)

    return EnhancementPipeline(
        manifest, {"enhancement": FakeSession(network or brighten, spec.input, spec.output)}, dict(IDENTITY)
    )


def tiny_enhancement_bundle(
    folder: str | Path,
    *,
    frame: FrameSpec | None = None,
    input: InputSpec | None = None,
    postprocess: EnhancementPostprocessSpec | None = None,
) -> Path:
    """Write a complete, valid MAGE-Net bundle of a few kilobytes, with a network that brightens.

    Args:
        folder: made if it does not exist.
        frame: default: 96 x 96 px, outside black.
        input: default: RGB in [0, 1].
        postprocess: default: residual.

    Returns:
        The folder: `fundusrt.load` takes it.
    """
    manifest = tiny_enhancement_manifest(frame=frame, input=input, postprocess=postprocess)
    content = pixel_mixer(manifest.frame.height_px, manifest.frame.width_px, _MIX, _OFFSET)
    pixels = tiny_photograph()
    framed = cut_frame(from_array(pixels), manifest)[1]
    pipeline = fake_enhancement_pipeline(manifest)
    golden = manifest.golden
    arrays = {golden.frame: framed, golden.enhanced: pipeline.run_frame(framed)}
    pictures = {golden.image: pixels, golden.result: pipeline(pixels).image}
    return write_bundle(folder, manifest, {_FILE: content}, arrays, pictures)
