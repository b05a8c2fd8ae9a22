"""Weights of a checkpoint into a network, or a refusal that says what is wrong with them."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from fundusrt.errors import InvalidInput

__all__ = ["fill"]

Network = TypeVar("Network", bound=nn.Module)


def fill(network: Network, state: dict[str, Tensor], subject: str) -> Network:
    """Load weights into a network, float32, and return it in eval mode.

    Raises:
        InvalidInput: a weight that is not finite, or names and shapes that are not the network's.
    """
    broken = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise InvalidInput(subject, got=f"NaN or infinity in {broken[0]}", expected="finite weights", fix="train again")
    values = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    try:
        network.load_state_dict(values, strict=True)
    except RuntimeError as error:
        raise InvalidInput(
            subject,
            got=" ".join(str(error).split())[:200],
            expected="tensors of the configuration's network",
            fix="the file was changed; copy it again from its run",
        ) from error
    return network.eval()
