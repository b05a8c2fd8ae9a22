"""What an exported network must and must not hold. All problems are collected before the error is raised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx
from onnx import TensorProto, numpy_helper

from fundusrt.errors import BundleError
from fundusrt.onnx_file import refuse_external_data
from fundusrt_export.errors import ExportError
from fundusrt_export.targets import Normalisation, normalisation_nodes
from fundusrt_training.models.unet_wavelet import UNetWaveletConfig

__all__ = ["FORBIDDEN_OPS", "HEIGHT", "LEFTOVERS", "WIDTH", "check_graph", "check_onnx", "op_budget"]

FORBIDDEN_OPS = frozenset(
    {
        "CumSum",
        "GatherND",
        "If",
        "Loop",
        "NonZero",
        "RandomNormal",
        "RandomUniform",
        "Scan",
        "ScatterElements",
        "ScatterND",
    }
)
"""Operators that some runtime lacks, runs slowly or cannot plan for; none is needed by these networks."""

LEFTOVERS = frozenset({"ConvTranspose", "Gather", "Shape", "Slice"})
"""What the passes leave none of where every size but the batch is fixed."""

_MOST_AXES = 4

HEIGHT = "height"
WIDTH = "width"
"""Names of the free sizes of a graph for any size."""

_LEAKS = (b"/home/", b"/root/", b"/Users/", b"/tmp/", b"/usr/", b"site-packages", b".py", b"\\Users\\")


def op_budget(config: UNetWaveletConfig, form: str, normalisation: Normalisation) -> int:
    """Return the largest number of nodes a branch may have: convolutions, the normalisations, the wavelet steps."""
    norms_per_block = 2 if config.norm_placement == "per_conv" else 1
    blocks = 2 * config.levels + 1
    convolutions = 2 * blocks + config.levels * (2 if config.highs == "predicted" else 1) + 1
    normalisations = (normalisation_nodes(normalisation) + 1) * norms_per_block * blocks  # and Relu
    # Identity: AveragePool, Mul | Sub, Mul, Resize, Add. Convolution: Conv, Reshape, Gather, Slice | Unsqueeze, Concat,
    # Reshape, ConvTranspose; border extension (two Slice-and-Concat a side and axis) and cropping for other wavelets.
    steps = 6 if form == "identity" else 8 + (0 if config.wave in ("haar", "db1") else 14)
    joins = config.levels * (1 if config.align_conv != "split" else 5)
    joins += config.levels * (
        4 if config.highs == "zero" and form == "convolution" else 0
    )  # Shape, Gather, Concat, Expand
    return convolutions + normalisations + steps * config.levels + joins + 1


def check_onnx(
    content: bytes, config: UNetWaveletConfig, form: str, normalisation: Normalisation, size_px: int
) -> None:
    """Refuse the ONNX file of a UNet-Wavelet branch that is not exactly what the SDK expects.

    Args:
        content: the file.
        config: the network's configuration.
        form: `identity` or `convolution`.
        normalisation: of a target (`targets.NORMALISATIONS`).
        size_px: height and width of the input.

    Raises:
        ExportError: every problem found, in one message.
    """
    check_graph(
        content,
        input_shape=(config.in_channels, size_px, size_px),
        output_shape=(config.out_channels, size_px, size_px),
        budget=op_budget(config, form, normalisation),
        # The convolution form computes the high bands: a transposed convolution each, and slices for borders and bands.
        # Its zero high bands are made with the batch's size, which is free.
        leftovers=form == "convolution" or config.highs == "predicted" or config.align_conv == "split",
    )


def check_graph(
    content: bytes,
    *,
    input_shape: tuple[int | str, ...],
    output_shape: tuple[int | str, ...],
    budget: int,
    leftovers: bool = False,
) -> None:
    """Refuse an ONNX file that is not a plain float32 graph of one input and one output whose batch is free.

    Args:
        content: the file.
        input_shape: channels, height and width; free sizes by their names.
        output_shape: the same of the output.
        budget: the most nodes the network needs.
        leftovers: whether `LEFTOVERS` and reshapes to more than four axes are expected.

    Raises:
        ExportError: every problem found, in one message.
    """
    model = onnx.load_model_from_string(content)
    problems: list[str] = []
    try:
        onnx.checker.check_model(model, full_check=True)
        refuse_external_data(content, "exported model")
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, BundleError) as error:
        problems.append(str(error).splitlines()[0])
    operators = Counter(node.op_type for node in model.graph.node)
    problems += [f"operator {name}" for name in sorted(FORBIDDEN_OPS & set(operators))]
    if not leftovers:
        problems += [f"{operators[name]} {name}" for name in sorted(LEFTOVERS & set(operators))]
        problems += [f"{name} to {len(shape)} axes" for name, shape in _reshapes(model) if len(shape) > _MOST_AXES]
    problems += [f"operator {node.domain}.{node.op_type}" for node in model.graph.node if node.domain]
    if model.functions or len(model.opset_import) != 1:
        problems.append("functions or more than one operator set")
    if len(model.graph.node) > budget:
        problems.append(f"{len(model.graph.node)} nodes, more than the {budget} this network needs")
    for tensor in model.graph.initializer:
        if tensor.data_type not in (TensorProto.FLOAT, TensorProto.INT64):
            problems.append(f"constant {tensor.name} of type {TensorProto.DataType.Name(tensor.data_type)}")
    expected = [["batch", *input_shape], ["batch", *output_shape]]
    found = [_shape(model.graph.input), _shape(model.graph.output)]
    if found != expected:
        problems.append(f"inputs and outputs {found} instead of {expected}")
    problems += [f"the text {leak.decode()!r}, which names a path" for leak in _LEAKS if leak in _text(model)]
    if problems:
        raise ExportError(
            "exported ONNX file", got="; ".join(problems), expected="a plain float32 graph", fix="report this as a bug"
        )


def _reshapes(model: onnx.ModelProto) -> list[tuple[str, list[int]]]:
    nodes = [node for node in model.graph.node if node.op_type == "Reshape"]
    shapes = {node.input[1] for node in nodes}
    inside = [each for each in model.graph.initializer if each.data_location != TensorProto.EXTERNAL]
    constants = {each.name: numpy_helper.to_array(each).tolist() for each in inside if each.name in shapes}
    return [(node.name, constants.get(node.input[1], [])) for node in nodes]


def _shape(values: Iterable[onnx.ValueInfoProto]) -> list[int | str]:
    return [
        size.dim_value if size.HasField("dim_value") else size.dim_param
        for value in values
        for size in value.type.tensor_type.shape.dim
    ]


def _text(model: onnx.ModelProto) -> bytes:
    """Everything in the file but the numbers, in which any byte sequence may occur by chance."""
    stripped = onnx.ModelProto()
    stripped.CopyFrom(model)
    for tensor in stripped.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
    return stripped.SerializeToString()
