"""Every intermediate value of a network on one input, in order of computation, from PyTorch or from an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fundusrt.backends.onnxruntime import import_onnxruntime
from fundusrt_export.parity.float64 import Float64Network

__all__ = ["TracedTensor", "onnx_values", "trace_module", "trace_onnx"]

Values = npt.NDArray[Any]

# The same values in another shape: whoever compares values in their order has them already.
_VIEWS = ("view", "_unsafe_view", "reshape", "alias", "detach", "unsqueeze", "squeeze")
_AT_ONCE = 64
"""Values asked of ONNX Runtime in one run, which bounds what is held in memory."""


@dataclass(frozen=True)
class TracedTensor:
    """One value.

    Attributes:
        layer: path of the module, or name of the node, that computed it.
        operator: what computed it.
        values: float32.
    """

    layer: str
    operator: str
    values: npt.NDArray[np.float32]


@torch.no_grad()
def trace_module(network: nn.Module, feed: npt.NDArray[np.float32]) -> list[TracedTensor]:
    """Run a network in float64 and return what each of its operators computed.

    Args:
        network: in eval mode; not modified.
        feed: (N, C, h, w).
    """
    exact = Float64Network(network).network
    recorder = _Recorder()
    handles: list[Any] = []
    for path, module in exact.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, path=path: recorder.stack.append(path)))
        handles.append(module.register_forward_hook(lambda *_: recorder.stack.pop() and None))
    try:
        with recorder:
            exact(torch.from_numpy(feed).double())
    finally:
        for handle in handles:
            handle.remove()
    return recorder.traced


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.traced: list[TracedTensor] = []
        self.stack: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        operator = func.overloadpacket.__name__
        if operator not in _VIEWS:
            layer = self.stack[-1] if self.stack else ""
            for value in made if isinstance(made, tuple | list) else (made,):
                if isinstance(value, Tensor) and value.is_floating_point():
                    self.traced.append(TracedTensor(layer, operator, value.float().numpy().copy()))
        return made


def trace_onnx(content: bytes, feed: npt.NDArray[np.float32]) -> list[TracedTensor]:
    """Run a graph on ONNX Runtime and return what each of its nodes computed, in the graph's order.

    Args:
        content: a self-contained ONNX file with one input.
        feed: (N, C, h, w).
    """
    model = onnx.load_model_from_string(content)
    made_by = {name: node for node in model.graph.node for name in node.output}
    return [
        TracedTensor(made_by[name].name, made_by[name].op_type, values.astype(np.float32))
        for name, values in onnx_values(model, [name for node in model.graph.node for name in node.output], feed)
        if np.issubdtype(values.dtype, np.floating)
    ]


def onnx_values(
    model: onnx.ModelProto, names: Sequence[str], feed: npt.NDArray[np.float32]
) -> Iterator[tuple[str, Values]]:
    """Yield intermediate values of a graph by name, in the order of `names`.

    Args:
        model: with one input.
        names: of values that nodes compute.
        feed: (N, C, h, w).
    """
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    names = [name for name in names if name]
    for start in range(0, len(names), _AT_ONCE):
        asked = names[start : start + _AT_ONCE]
        observed = onnx.ModelProto()
        observed.CopyFrom(model)
        del observed.graph.output[:]
        observed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in asked)
        session = ort.InferenceSession(observed.SerializeToString(), options, providers=["CPUExecutionProvider"])
        yield from zip(asked, session.run(asked, {model.graph.input[0].name: feed}), strict=True)
