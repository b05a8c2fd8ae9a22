"""The wavelet steps of a network alone, on what they receive inside it.

The logits do not show everything: a GroupNorm behind the next convolution undoes a wrong factor of the low band, and
what is left is of the size of its epsilon. So each step is also compared directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fundusrt_export.rewrite.proof import relative_difference
from fundusrt_training.models.unet_wavelet import UNetWavelet

__all__ = ["step_differences"]


@torch.no_grad()
def step_differences(original: UNetWavelet, forms: Mapping[str, nn.Module], image: Tensor) -> dict[str, float]:
    """Run `original` on an image and give the inputs of its wavelet steps to the steps of each form.

    Args:
        original: library form, eval mode.
        forms: rewritten networks by name, with steps `down` and `up` of the same signature.
        image: (N, C, H, W).

    Returns:
        For each form the largest difference of the low band, of the high bands where the form has them, and of the
        joined features, relative to max(1, largest value), over all levels.
    """
    worst = dict.fromkeys(forms, 0.0)

    def compare(name: str, reference: Tensor, made: Tensor) -> None:
        worst[name] = max(worst[name], relative_difference(reference, made))

    def after_down(module: nn.Module, args: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        del module
        for name, form in forms.items():
            low, bands = _step(form, "down")(args[0])
            compare(name, output[0], low)
            if bands.ndim == output[1].ndim:  # the identity form stands in for the bands by the low band
                compare(name, output[1], bands)

    def after_up(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        del module
        low, highs, skip = args
        for name, form in forms.items():
            own = highs if original.config.highs != "encoder" else _step(form, "down")(skip)[1]
            compare(name, output, _step(form, "up")(low, own, skip))

    handles = [original.down.register_forward_hook(after_down), original.up.register_forward_hook(after_up)]
    try:
        original(image)
    finally:
        for handle in handles:
            handle.remove()
    return worst


def _step(form: nn.Module, name: str) -> nn.Module:
    return form.get_submodule(name)
