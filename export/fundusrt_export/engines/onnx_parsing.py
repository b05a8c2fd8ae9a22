"""ONNX bytes to a strongly typed TensorRT network, checked against what the manifest says of it."""

from __future__ import annotations

from typing import Any

from fundusrt.manifest import NetworkSpec, TensorSpec
from fundusrt.tensorrt_log import PackageLog
from fundusrt_export.errors import EngineBuildError

__all__ = ["check_tensors", "parse_onnx", "typed_network"]


def typed_network(trt: Any, builder: Any) -> Any:
    """Return an empty network whose tensors have the types the ONNX file gives them.

    The bit of the flag differs between releases, so it is taken from the package's own enumeration; explicit batch is
    asked for only where it can still be.
    """
    kinds = trt.NetworkDefinitionCreationFlag
    flags = 1 << int(kinds.STRONGLY_TYPED)
    if hasattr(kinds, "EXPLICIT_BATCH"):
        flags |= 1 << int(kinds.EXPLICIT_BATCH)
    return builder.create_network(flags)


def parse_onnx(trt: Any, network: Any, onnx: bytes, log: PackageLog, subject: str) -> Any:
    """Parse a self-contained ONNX file into the network.

    Returns:
        The parser, which must live as long as the network: it owns the weights.

    Raises:
        EngineBuildError: names each node that was refused, its operator and why.
    """
    parser = trt.OnnxParser(network, log.logger)
    if not parser.parse(onnx):
        refused = [_describe(parser.get_error(index)) for index in range(parser.num_errors)]
        raise EngineBuildError(
            subject,
            got="; ".join(refused or log.errors() or ["a file the parser refuses without a reason"]),
            expected=f"operators that {trt.__name__} {trt.__version__} supports",
            fix="export the network again for this target, or build it for another runtime",
        )
    return parser


def check_tensors(trt: Any, network: Any, spec: NetworkSpec, subject: str) -> None:
    """Refuse a network whose input and output are not those of the manifest.

    Raises:
        EngineBuildError: another number of tensors, another name, type or shape.
    """
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    for kind, tensors, expected in (("input", inputs, spec.input), ("output", outputs, spec.output)):
        got = "; ".join(f"{tensor.name} {tensor.dtype} {_shape(tensor)}" for tensor in tensors)
        matches = len(tensors) == 1 and _matches(trt, tensors[0], expected)
        if not matches:
            raise EngineBuildError(
                f"{subject}, {kind}",
                got=got or "none",
                expected=f"{expected.name} float32 {expected.shape}",
                fix="export the bundle again",
            )


def _matches(trt: Any, tensor: Any, spec: TensorSpec) -> bool:
    shape = _shape(tensor)
    return (
        tensor.name == spec.name
        and tensor.dtype == trt.float32
        and len(shape) == len(spec.shape)
        and all(length in (-1, want) for length, want in zip(shape[1:], spec.shape[1:], strict=True))
    )


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(length) for length in tensor.shape)


def _describe(error: Any) -> str:
    """One parser error: `node 'conv_3' (DeformConv): why`."""
    operator, name = error.node_operator(), error.node_name()
    where = f"node {name or error.node()!r} ({operator}): " if operator else ""
    return where + " ".join(str(error.desc()).split())
