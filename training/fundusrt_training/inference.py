"""The deployed pipeline over PyTorch networks: validation and evaluation run the code that a device runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from fundusrt.backends.base import Array
from fundusrt.manifest import Manifest, NetworkSpec, TensorSpec, VariantSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt_training.models.unet_wavelet import UNetWavelet
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

__all__ = ["TorchSession", "torch_pipeline"]


class TorchSession:
    """An `InferenceSession` over a torch network in float32; sigmoid inside, as in an exported network.

    Args:
        network: gives logits.
        input: its input tensor.
        output: its output tensor.
        channels_last: memory layout.
    """

    def __init__(self, network: UNetWavelet, input: TensorSpec, output: TensorSpec, channels_last: bool) -> None:
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
    config: CmwnetConfig, large: UNetWavelet | None, small: UNetWavelet | None, *, batch: int = 4
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
        sessions.append(_Absent(input, output) if absent else TorchSession(network, input, output, config.run.channels_last))
    # A run in training has no bundle: only the parts of a manifest that say how an image is treated exist.
    manifest = Manifest.model_construct(
        preprocess=config.preprocess_spec(),
        tile=config.tile_spec(),
        whole_image=config.whole_spec(),
        networks=networks,
        postprocess=config.postprocess_spec(),
    )
    return SegmentationPipeline(manifest, sessions[0], sessions[1], {}, batch=batch)
