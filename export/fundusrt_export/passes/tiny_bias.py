"""A bias for each convolution that has none, too small to change anything: what OpenVINO's int8 needs.

OpenVINO's CPU plugin (2026.4) multiplies by the scales of a quantised convolution twice where it has no bias and no
scale or activation behind it, as before a group normalisation: answers were 0.001 of what they should be. With a bias
other than zero, which it would fold away, they are right.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["TINY", "tiny_bias"]

TINY = 1e-20
"""x + 1e-20 is x in float32 wherever |x| is above 1e-12, and it is no denormal number."""


def tiny_bias(model: onnx.ModelProto) -> int:
    """Add a bias of `TINY` to convolutions without one; returns how many.

    Legal cases: Conv and ConvTranspose with constant weights. Declines: weights that are computed, whose number of
    output channels the file does not say; a bias that is there.

    Args:
        model: modified in place.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    changed = 0
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or len(node.input) != 2 or node.input[1] not in weights:
            continue
        shape = weights[node.input[1]].dims
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        outputs = shape[0] if node.op_type == "Conv" else shape[1] * groups
        name = f"{node.name}_bias"
        model.graph.initializer.append(numpy_helper.from_array(np.full(outputs, TINY, np.float32), name))
        node.input.append(name)
        changed += 1
    return changed
