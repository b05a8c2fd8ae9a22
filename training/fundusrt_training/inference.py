"""The deployed pipeline over PyTorch networks: validation and evaluation run the code that a device runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fundusrt.backends.base import Array
from fundusrt.fusion import fuse
from fundusrt.manifest import Manifest, NetworkSpec, TensorSpec, VariantSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt_training.systems.cmwnet_config import CmwnetConfig, Mode

__all__ = ["TorchSession", "branch_maps", "combine", "torch_pipeline"]

Bytes = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]


class TorchSession:
    """An `InferenceSession` over a torch network in float32; sigmoid inside, as in an exported network.

    Args:
        network: gives logits.
        input: its input tensor.
        output: its output tensor.
        channels_last: memory layout.
    """

    def __init__(self, network: nn.Module, input: TensorSpec, output: TensorSpec, channels_last: bool) -> None:
        self.network = network
        self.inputs: Mapping[str, TensorSpec] = {input.name: input}
        self.outputs: Mapping[str, TensorSpec] = {output.name: output}
        self._layout = torch.channels_last if channels_last else torch.contiguous_format

    @property
    def name(self) -> str:
        """What runs."""
        return f"torch:{next(self.network.parameters()).device}"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; the caller owns the returned arrays."""
        (input,), (output,) = self.inputs, self.outputs
        device = next(self.network.parameters()).device
        images = torch.from_numpy(feeds[input]).to(device).contiguous(memory_format=self._layout)
        training = self.network.training
        self.network.eval()
        try:
            with torch.inference_mode():
                p = torch.sigmoid(self.network(images).float())
        finally:
            self.network.train(training)
        return {output: np.ascontiguousarray(p.cpu().numpy())}

    def close(self) -> None:
        """Nothing to free: the network belongs to its owner."""


class _Absent:
    """Stands for the branch that a one-branch mode does not have; it is never run."""

    name = "absent"

    def __init__(self, input: TensorSpec, output: TensorSpec) -> None:
        self.inputs: Mapping[str, TensorSpec] = {input.name: input}
        self.outputs: Mapping[str, TensorSpec] = {output.name: output}

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Refuse."""
        raise RuntimeError("this branch was not trained")

    def close(self) -> None:
        """Nothing to free."""


def torch_pipeline(
    config: CmwnetConfig, large: nn.Module | None, small: nn.Module | None, *, batch: int = 4
) -> SegmentationPipeline:
    """Return the SDK's pipeline over torch networks; a branch that is None must not be run.

    Args:
        config: pre-processing, tiles and post-processing.
        large: whole-image network.
        small: tile network.
        batch: tiles per network call.
    """
    channels = config.unet.in_channels
    networks = {}
    sessions = []
    for role, name, network, size in (
        ("whole_image", "large", large, config.whole.size),
        ("tile", "small", small, config.tile.size),
    ):
        input = TensorSpec(name="image", dtype="float32", shape=("n", channels, size, size))
        output = TensorSpec(name="probability", dtype="float32", shape=("n", 1, size, size))
        variants = (VariantSpec(file="-", form=config.unet.wavelet_form),)
        networks[name] = NetworkSpec.model_validate(
            {"role": role, "input": input, "output": output, "variants": variants}
        )
        absent = network is None
        sessions.append(
            _Absent(input, output) if absent else TorchSession(network, input, output, config.run.channels_last)
        )
    # A run in training has no bundle: only the parts of a manifest that say how an image is treated exist.
    manifest = Manifest.model_construct(
        preprocess=config.preprocess_spec(),
        tile=config.tile_spec(),
        whole_image=config.whole_spec(),
        networks=networks,
        postprocess=config.postprocess_spec(),
    )
    return SegmentationPipeline(manifest, sessions[0], sessions[1], {}, batch=batch)


def branch_maps(
    pipeline: SegmentationPipeline, mode: Mode, whole: Bytes, on_grid: Bytes, height: int, width: int
) -> dict[str, Map]:
    """Return the probability maps, (height, width) float32, of the branches a mode needs: `large`, `small` or both.

    Args:
        pipeline: holds the networks and the parameters.
        mode: `cmwnet` both branches; `crop` the tile branch alone; `down` the whole-image branch alone.
        whole: (size, size[, 3]) uint8.
        on_grid: (H2, W2[, 3]) uint8.
        height: original height in px.
        width: original width in px.
    """
    maps: dict[str, Map] = {}
    if mode in ("cmwnet", "down"):
        maps["large"] = pipeline.upsample(pipeline.run_whole(whole), height, width)
    if mode in ("cmwnet", "crop"):
        maps["small"] = pipeline.upsample(pipeline.run_tiles(on_grid), height, width)
    return maps


def combine(pipeline: SegmentationPipeline, mode: Mode, maps: Mapping[str, Map], fov: npt.NDArray[np.bool_]) -> Map:
    """Return a mode's (H, W) float32 probability, 0 outside the field of view: fused, or one branch as it is."""
    if mode == "cmwnet":
        return fuse(maps["large"], maps["small"], pipeline.manifest.postprocess) * fov
    return maps["small" if mode == "crop" else "large"] * fov
