"""One branch of CMWNet as it is deployed: network and sigmoid, in one of its exactly equal forms."""

from __future__ import annotations

import copy
import dataclasses
from typing import Literal

import torch
from torch import Tensor, nn

from fundusrt.errors import UsageError
from fundusrt_export.deployed_network import DeployedNetwork
from fundusrt_export.rewrite import rewrite_wavelets
from fundusrt_export.rewrite.haar_identity import rewrite_haar_identity
from fundusrt_training.models.unet_wavelet import UNetWavelet

__all__ = [
    "FORMS",
    "DeployedBranch",
    "Form",
    "deployed_form",
    "library_form",
    "uniform_noise",
]

Form = Literal["identity", "convolution"]
FORMS: tuple[Form, ...] = ("identity", "convolution")


class DeployedBranch(DeployedNetwork):
    """Network and sigmoid, without anything that only training needs."""

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, C, H, W) float32 to probabilities (N, 1, H, W) float32 in [0, 1]."""
        return torch.sigmoid(self.network(image))


def library_form(network: UNetWavelet) -> UNetWavelet:
    """Return an eval-mode copy of `network` in the form the paper describes: pytorch_wavelets' transforms.

    Networks trained in the identity form share their state dict with it, so this is the common reference of both.
    """
    if network.config.wavelet_form == "library":
        return copy.deepcopy(network).eval()
    reference = UNetWavelet(dataclasses.replace(network.config, wavelet_form="library"))
    reference.load_state_dict(network.state_dict(), strict=True)
    weight = next(network.parameters())
    return reference.to(device=weight.device, dtype=weight.dtype).eval()


def deployed_form(network: UNetWavelet, form: Form, *, example: Tensor | None = None) -> nn.Module:
    """Return an eval-mode copy of a library-form network, rewritten and proved equal.

    Args:
        network: in library form; not modified.
        form: `identity` (Haar only; fastest on every runtime measured) or `convolution` (any wavelet).
        example: (N, C, H, W) for the proof; default: uniform noise.

    Raises:
        UsageError: an unknown form.
        RewriteDeclined: the network has no such form.
        RewriteMismatch: the rewrite differs.
    """
    if form not in FORMS:
        raise UsageError("form", got=repr(form), expected=" or ".join(FORMS))
    if form == "identity":
        return rewrite_haar_identity(network, example=example).eval()
    example = uniform_noise(network) if example is None else example
    return rewrite_wavelets(network, example=example).eval()


def uniform_noise(network: UNetWavelet, size_px: int | None = None) -> Tensor:
    """Return one (1, C, size, size) image in [0, 1) in the network's dtype; default size 8 * 2^levels."""
    side = size_px or 8 * network.config.divisor
    noise = torch.rand(1, network.config.in_channels, side, side, generator=torch.Generator().manual_seed(0))
    weight = network.head.weight
    return noise.to(device=weight.device, dtype=weight.dtype)
