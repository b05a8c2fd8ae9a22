"""Which runtime gets which graph. No runtime is fastest with the graph of another (docs/graph-variants.md).

| target | group normalisation | why |
|---|---|---|
| `onnxruntime` | `two_pass` | its own InstanceNormalization is inaccurate on flat areas |
| `openvino` | `channel` | no image is reshaped, so it stays in the plugin's blocked layout |
| `tensorrt` | `instance` | recognised, and fused with the activation; decomposed, it takes twice the kernels |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from fundusrt.errors import UsageError
from fundusrt.manifest.parts import Target
from fundusrt_export.rewrite.channel_group_norm import ChannelGroupNorm
from fundusrt_export.rewrite.group_norm import TwoPassGroupNorm, rewrite_group_norms
from fundusrt_export.rewrite.proof import Example

__all__ = ["NORMALISATIONS", "TARGETS", "Normalisation", "normalisation_nodes", "normalised"]

Normalisation = Literal["two_pass", "channel", "instance"]

NORMALISATIONS: Mapping[Target, Normalisation] = {
    "onnxruntime": "two_pass",
    "openvino": "channel",
    "tensorrt": "instance",
}
TARGETS: tuple[Target, ...] = tuple(NORMALISATIONS)

_CLASSES: Mapping[Normalisation, type[TwoPassGroupNorm]] = {"two_pass": TwoPassGroupNorm, "channel": ChannelGroupNorm}
# Nodes of one group normalisation with gamma and beta, the activation behind it not counted:
# two passes: Reshape, 2 ReduceMean, Sub, Mul, 2 ReduceMean, Add, Sqrt, Reciprocal, Mul, 2 Reshape, Mul, Add;
# channel: three times ReduceMean, Squeeze, ReduceMean; Reshape, Sub, 2 Mul, Sub, Reshape, Add, 2 Reshape, ReduceMean,
#   Sub, Mul, Add, ReduceMean, Add, Sqrt, Reciprocal, Mul, Sub, Mul, Add, 2 Reshape, Mul, Add;
# instance: Reshape, InstanceNormalization, Reshape, Mul, Add.
_NODES: Mapping[Normalisation, int] = {"two_pass": 15, "channel": 34, "instance": 5}


def normalised(network: nn.Module, normalisation: Normalisation, example: Example | None) -> nn.Module:
    """Return `network` with the group normalisation of a target.

    Args:
        network: not modified; returned as it is for `instance`, which the exporter makes of `nn.GroupNorm`.
        normalisation: one of `NORMALISATIONS`.
        example: inputs of the network, for the proof; None for none.

    Raises:
        UsageError: an unknown normalisation.
        RewriteMismatch: the rewrite differs.
    """
    if normalisation not in _NODES:
        raise UsageError("normalisation", got=repr(normalisation), expected=" or ".join(_NODES))
    if normalisation == "instance":
        return network
    return rewrite_group_norms(network, example=example, form=_CLASSES[normalisation])


def normalisation_nodes(normalisation: Normalisation) -> int:
    """Return how many nodes one group normalisation becomes."""
    return _NODES[normalisation]
