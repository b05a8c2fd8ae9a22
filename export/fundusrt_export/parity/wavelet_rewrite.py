"""R1: the network as trained, with pytorch_wavelets, against each rewritten form."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from fundusrt.agreement import largest_difference, measured
from fundusrt.certificate import Rung
from fundusrt_export.parity.inputs import ParityInputs, Role
from fundusrt_export.parity.wavelet_steps import step_differences
from fundusrt_training.models.unet_wavelet import UNetWavelet

__all__ = ["LEAST_LOGIT_SPAN", "NAME", "wavelet_rewrite"]

NAME = "wavelet-rewrite"
LEAST_LOGIT_SPAN = 1.0


@torch.no_grad()
def wavelet_rewrite(
    original: Mapping[Role, UNetWavelet], rewritten: Mapping[Role, Mapping[str, nn.Module]], inputs: ParityInputs
) -> Rung:
    """Compare the wavelet steps alone on the first window, and logits on every window, one by one.

    Args:
        original: library-form networks by branch, eval mode; (N, C, H, W) to logits.
        rewritten: by branch and form.
        inputs: windows.

    Returns:
        For each branch and form the largest difference of a wavelet step's output (`step_differences`), and the largest
        |difference| of a logit over the range of the original's logits on all windows (at least 1); limits 1e-5.
    """
    measurements = []
    for role, network in original.items():
        forms = rewritten[role]
        worst = dict.fromkeys(forms, 0.0)
        low, high = float("inf"), float("-inf")
        tensors = list(inputs.tensors(role).values())
        for form, difference in step_differences(network, forms, tensors[0]).items():
            measurements.append(measured(NAME, "steps", difference, f"{role}, {form}"))
        for tensor in tensors:
            reference = network(tensor).numpy()
            low, high = min(low, float(reference.min())), max(high, float(reference.max()))
            for form, other in forms.items():
                worst[form] = max(worst[form], largest_difference(reference, other(tensor).numpy()))
        scale = max(high - low, LEAST_LOGIT_SPAN)
        for form, difference in worst.items():
            measurements.append(measured(NAME, "logits", difference / scale, f"{role}, {form}"))
    return Rung(
        name=NAME,
        compares="logits of PyTorch with pytorch_wavelets and of PyTorch with the rewritten wavelet steps, float32",
        inputs=inputs.hashes(),
        measurements=tuple(measurements),
    )
