"""An ONNX network in PyTorch on the GPU: for the check alone, where no deployment runtime is there.

The nodes of the bundle's own file are run one by one; training code has no part in it. Everything is float32: TF32 is
off, convolutions are deterministic and chosen by rule, so that each lane computes the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper

from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.lane import Lane
from fundusrt.errors import BackendUnavailable
from fundusrt.manifest import NetworkSpec, TensorSpec

__all__ = ["OnnxInTorch", "TorchNetwork"]

Tensor = torch.Tensor


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, **given: Any) -> Tensor:
    strides, dilations = given.get("strides", [1, 1]), given.get("dilations", [1, 1])
    return F.conv2d(x, weight, bias, strides, _pads(given), dilations, given.get("group", 1))


def _reshape(x: Tensor, shape: Tensor, **given: Any) -> Tensor:
    lengths = [x.shape[axis] if length == 0 else length for axis, length in enumerate(shape.tolist())]
    return x.reshape(lengths)


def _instance_norm(x: Tensor, scale: Tensor, bias: Tensor, **given: Any) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=given["epsilon"])


def _average_pool(x: Tensor, **given: Any) -> Tensor:
    inside = bool(given.get("count_include_pad", 0))
    return F.avg_pool2d(x, given["kernel_shape"], given["strides"], _pads(given), count_include_pad=inside)


def _max_pool(x: Tensor, **given: Any) -> Tensor:
    return F.max_pool2d(x, given["kernel_shape"], given["strides"], _pads(given))


def _resize(x: Tensor, roi: Tensor | None, scales: Tensor, sizes: Tensor | None = None, **given: Any) -> Tensor:
    if sizes is not None:
        size = [int(length) for length in sizes.tolist()[2:]]
    else:
        factors = scales.tolist()[2:]
        size = [int(length * factor) for length, factor in zip(x.shape[2:], factors, strict=True)]
    mode = given["mode"].decode(), given["coordinate_transformation_mode"].decode()
    if mode == ("nearest", "asymmetric"):
        return F.interpolate(x, size, mode="nearest")
    if mode == ("linear", "half_pixel"):
        return F.interpolate(x, size, mode="bilinear", align_corners=False)
    if mode == ("linear", "align_corners"):
        return F.interpolate(x, size, mode="bilinear", align_corners=True)
    raise _unknown("Resize", ", ".join(mode), "nearest asymmetric, linear half_pixel or linear align_corners")


def _reduce(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduced(x: Tensor, axes: Tensor, **given: Any) -> Tensor:
        return function(x, tuple(axes.tolist()), keepdim=bool(given.get("keepdims", 1)))

    return reduced


def _pads(given: Mapping[str, Any]) -> list[int]:
    pads = list(given.get("pads", [0, 0, 0, 0]))
    if pads[:2] != pads[2:] or given.get("auto_pad", b"NOTSET") != b"NOTSET" or given.get("ceil_mode", 0):
        raise _unknown("padding", dict(given), "equal pads on both sides, no auto_pad, no ceil_mode")
    return pads[:2]


def _unknown(what: str, got: object, expected: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"{what} of a node, in the check's PyTorch network", got=got, expected=expected, fix="add it to OPERATORS"
    )


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Abs": lambda x: x.abs(),
    "Add": lambda a, b: a + b,
    "AveragePool": _average_pool,
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Conv": _conv,
    "Div": lambda a, b: a / b,
    "InstanceNormalization": _instance_norm,
    "MaxPool": _max_pool,
    "Mul": lambda a, b: a * b,
    "PRelu": lambda x, slope: torch.where(x < 0, x * slope, x),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Reciprocal": lambda x: x.reciprocal(),
    "Relu": lambda x: x.relu(),
    "Reshape": _reshape,
    "Resize": _resize,
    "Round": lambda x: x.round(),
    "Sigmoid": lambda x: x.sigmoid(),
    "Sqrt": lambda x: x.sqrt(),
    "Sub": lambda a, b: a - b,
}
_ON_HOST = {"Reshape": (1,), "Resize": (1, 2, 3), "ReduceMean": (1,), "ReduceSum": (1,)}


def _operator(kind: str) -> Callable[..., Tensor]:
    if kind not in OPERATORS:
        raise _unknown("operator", kind, ", ".join(sorted(OPERATORS)))
    return OPERATORS[kind]


class OnnxInTorch:
    """A parsed model on a device; call it with the one input.

    Args:
        model: the bytes of a self-contained ONNX file.
        device: `cuda` or `cpu`.
    """

    def __init__(self, model: bytes, device: str) -> None:
        graph = onnx.load_from_string(model).graph
        self.input, self.output = graph.input[0].name, graph.output[0].name
        host = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
        shapes = {
            name for node in graph.node for at in _ON_HOST.get(node.op_type, ()) for name in node.input[at : at + 1]
        }
        self._constants = {name: value if name in shapes else value.to(device) for name, value in host.items()}
        self._nodes = [
            (_operator(node.op_type), list(node.input), node.output[0], _attributes(node)) for node in graph.node
        ]
        last: dict[str, int] = {name: at for at, node in enumerate(graph.node) for name in node.input}
        self._spent = [
            [name for name, end in last.items() if end == at and name not in self._constants and name != self.input]
            for at in range(len(self._nodes))
        ]

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """Run one batch."""
        values: dict[str, Any] = {**self._constants, self.input: image, "": None}  # "": an input left out
        for (operator, inputs, output, given), spent in zip(self._nodes, self._spent, strict=True):
            values[output] = operator(*(values[name] for name in inputs), **given)
            for name in spent:
                values.pop(name, None)
        return values[self.output]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    kept = {"Relu": (), "Sigmoid": (), "Add": ()}.get(node.op_type)
    return {} if kept == () else {each.name: helper.get_attribute_value(each) for each in node.attribute}


def float32_only() -> None:
    """Turn off TF32 and everything that picks an algorithm by timing."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


class TorchNetwork:
    """The model as a `DeviceNetwork`, on each lane's own stream, captured as a CUDA graph where PyTorch can.

    Args:
        model: the bytes of a self-contained ONNX file.
        spec: what the manifest says of the network.
        batch: images of one run.
        device: `cuda`; `cpu` for trying the check itself on a machine without a GPU.
    """

    def __init__(self, model: bytes, spec: NetworkSpec, *, batch: int, device: str = "cuda") -> None:
        float32_only()
        self.run = OnnxInTorch(model, device)
        self.device = device
        self.batch = batch
        self._spec = spec

    @property
    def name(self) -> str:
        """PyTorch's version and the batch."""
        return f"torch {torch.__version__}, float32, batch {self.batch}"

    @property
    def inputs(self) -> dict[str, TensorSpec]:
        """The one input."""
        return {self._spec.input.name: self._spec.input}

    @property
    def outputs(self) -> dict[str, TensorSpec]:
        """The one output."""
        return {self._spec.output.name: self._spec.output}

    def bind(self, lane: Lane) -> BoundTorch:
        """Run it three times on the lane's stream and capture it."""
        arrays = [
            lane.array(f"torch {id(self)} {tensor.name}", (self.batch, *map(int, tensor.shape[1:])), np.float32)
            for tensor in (self._spec.input, self._spec.output)
        ]
        lane.zero(arrays[0])
        lane.synchronize()
        return BoundTorch(self, lane, arrays[0], arrays[1])

    def close(self) -> None:
        """Nothing is kept beside the tensors."""


class BoundTorch:
    """The model on one lane."""

    def __init__(self, network: TorchNetwork, lane: Lane, feed: DeviceArray, answer: DeviceArray) -> None:
        self.input, self.output = feed, answer
        self.notes: tuple[str, ...] = ()
        self._network = network
        self._lane = lane
        self._graph: Any = None
        self._stream: Any = None
        if network.device == "cuda":
            self._feed, self._answer = torch.as_tensor(feed, device="cuda"), torch.as_tensor(answer, device="cuda")
            self._stream = torch.cuda.ExternalStream(lane.handle)
            for _ in range(2):
                self.enqueue()
            lane.synchronize()
            self._capture()

    def enqueue(self) -> None:
        """Enqueue one run on the lane's stream."""
        if self._stream is None:
            self._on_host()
            return
        with torch.cuda.stream(self._stream):
            if self._graph is not None:
                self._graph.replay()
            else:
                self._answer.copy_(self._network.run(self._feed))

    def close(self) -> None:
        """Free the graph and its memory."""
        self._graph = None

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._answer.copy_(self._network.run(self._feed))
        except RuntimeError as error:
            self.notes = (f"network without a CUDA graph: {' '.join(str(error).split())[:200]}",)
            return
        self._graph = graph

    def _on_host(self) -> None:
        """On the fake GPU, whose memory is the host's: as one more piece of work of its stream."""
        import ctypes

        def work() -> None:
            floats = [
                np.ctypeslib.as_array((ctypes.c_float * array.size).from_address(array.address)).reshape(array.shape)
                for array in (self.input, self.output)
            ]
            floats[1][...] = self._network.run(torch.from_numpy(floats[0])).numpy()

        self._lane.stream.enqueue(work)
