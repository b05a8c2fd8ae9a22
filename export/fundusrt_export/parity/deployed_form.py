"""R1 of the systems without wavelets: the network as trained against its pruned and rewritten form."""

from __future__ import annotations

import torch
from torch import nn

from fundusrt.agreement import largest_difference, measured
from fundusrt.certificate import Rung
from fundusrt_export.parity.inputs import ParityInputs

__all__ = ["LEAST_SPAN", "NAME", "deployed_form"]

NAME = "deployed-form"
LEAST_SPAN = 1.0


@torch.no_grad()
def deployed_form(trained: nn.Module, deployed: nn.Module, inputs: ParityInputs, compares: str) -> Rung:
    """Compare on every window, one by one.

    Args:
        trained: the training network in eval mode, (1, C, H, W) to what is compared.
        deployed: the same of the form that is exported.
        inputs: windows of one network.
        compares: what the two are, for the certificate.

    Returns:
        The largest |difference| over the range of the trained network's answers on all windows (at least 1), limit
        1e-5.
    """
    (name,) = inputs.windows
    worst, low, high = 0.0, float("inf"), float("-inf")
    for tensor in inputs.tensors(name).values():
        reference = trained(tensor).numpy()
        low, high = min(low, float(reference.min())), max(high, float(reference.max()))
        worst = max(worst, largest_difference(reference, deployed(tensor).numpy()))
    figure = measured(NAME, "difference", worst / max(high - low, LEAST_SPAN))
    return Rung(name=NAME, compares=compares, inputs=inputs.hashes(), measurements=(figure,))
