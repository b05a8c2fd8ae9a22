"""A float32 network in another precision that keeps its limit, or an error."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import onnx
from onnx import TensorProto

from fundusrt.backends.base import Array
from fundusrt.errors import InvalidInput, UsageError
from fundusrt_export.errors import ExportError
from fundusrt_export.passes import strip_metadata
from fundusrt_export.precision.accuracy_control import Build, Progress, Rankings, control_accuracy
from fundusrt_export.precision.activation_range import audit_ranges, largest_weights
from fundusrt_export.precision.calibration import FEWEST_TILES, CalibrationTiles
from fundusrt_export.precision.judgement import Judge
from fundusrt_export.precision.keep_list import head_nodes, kept_nodes, pooled_tensors
from fundusrt_export.precision.layers import layers_of
from fundusrt_export.precision.report import KeptNode, PrecisionReport, PrecisionResult, ReducedPrecision, Task
from fundusrt_export.precision.static_quantisation import CONVOLUTIONS, StaticQuantiser
from fundusrt_export.precision.typed_graph import BF16, FP16, ReducedType, in_reduced_type, with_operators_for

__all__ = ["to_precision", "unjudged"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Plan:
    """What a precision decides before accuracy is looked at: the nodes it keeps, its layers, how a file is made."""

    model: onnx.ModelProto
    kept: Sequence[KeptNode]
    layers: dict[str, tuple[str, ...]]
    build: Build
    largest: dict[str, float]


def to_precision(
    network: bytes,
    precision: ReducedPrecision,
    tiles: Array,
    *,
    task: Task,
    judge: Judge,
    lesion_tiles: Sequence[bool] | None = None,
    threads: int | None = None,
    progress: Progress = logger.info,
    rankings: Rankings | None = None,
) -> PrecisionResult:
    """Turn a float32 ONNX file into fp16, bf16 or int8 (Q/DQ); inputs and outputs stay float32.

    The same arguments give the same bytes. Nothing that misses the judge's limit is returned.

    Args:
        network: self-contained float32 ONNX file of one input and one output, with named nodes.
        precision: `fp16`, `bf16` or `int8`.
        tiles: (N, C, H, W) float32 network inputs from real images, on which ranges are measured.
        task: what the network answers; `segmentation` tiles must hold lesions.
        judge: compares a candidate with the float32 answer on other tiles, and knows the limit (`judgement`).
        lesion_tiles: for each tile, whether it holds a lesion; None: where the network's own answer reaches 0.5.
        threads: of ONNX Runtime, None for one per core.
        progress: called with a line per step.
        rankings: as of `control_accuracy`.

    Raises:
        UsageError: an unknown precision.
        InvalidInput: the tiles cannot stand for real images (`calibration`), or the judge sees one of them.
        ExportError: the file is not such a network.
        PrecisionError: the limit is missed whatever stays in float32.
    """
    if precision not in get_args(ReducedPrecision):
        raise UsageError(
            "precision",
            got=repr(precision),
            expected=", ".join(get_args(ReducedPrecision)),
            fix="fp32 is what the network already has",
        )
    model = _float32_network(network)
    fewest = FEWEST_TILES if precision == "int8" else 1
    checked = CalibrationTiles.check(
        network, tiles, task=task, lesion_tiles=lesion_tiles, fewest=fewest, threads=threads
    )
    if shared := checked.sha256 & judge.tiles_sha256:
        raise InvalidInput(
            "held-out tiles",
            got=f"{len(shared)} that are calibration tiles too",
            expected="tiles of other images",
            fix="divide the images, not the tiles",
        )
    progress(f"{precision}: measuring ranges on {len(tiles)} tiles")
    plan = _planned(model, precision, tiles, threads)
    controlled = control_accuracy(precision, plan.build, tuple(plan.layers), judge, judge.distance, progress, rankings)
    _check_result(controlled.content, model)
    back = [node for layer in controlled.restored for node in plan.layers[layer]]
    restored = {node: KeptNode(node, "", "accuracy", "put back to keep the limit") for node in back}
    kept = {node.node: node for node in plan.kept} | restored
    report = PrecisionReport(
        precision=precision,
        reduced=tuple(node for nodes in plan.layers.values() for node in nodes if node not in restored),
        kept=tuple(
            KeptNode(node.name, node.op_type, kept[node.name].reason, kept[node.name].detail)
            for node in plan.model.graph.node
            if node.name in kept
        ),
        layers=len(plan.layers),
        restored=controlled.restored,
        figure=controlled.figure,
        unrestored=controlled.unrestored,
        measured_by=judge.measured_by,
        candidates=controlled.candidates,
        largest=plan.largest,
        calibration=checked.facts,
        bytes_before=len(network),
        bytes_after=len(controlled.content),
    )
    progress(f"{precision}: {len(report.reduced)} nodes, {report.bytes_after / report.bytes_before:.2f} of the size")
    return PrecisionResult(controlled.content, report)


def unjudged(network: bytes, precision: ReducedPrecision, tiles: Array, *, threads: int | None = None) -> bytes:
    """Return the file before accuracy control: what a compiler is asked about, never what is shipped.

    Args:
        network: as of `to_precision`.
        precision: `fp16`, `bf16` or `int8`.
        tiles: (N, C, H, W) float32 network inputs; not checked.
        threads: of ONNX Runtime, None for one per core.

    Raises:
        ExportError: the file is not such a network.
    """
    return _planned(_float32_network(network), precision, tiles, threads).build(frozenset())


def _planned(model: onnx.ModelProto, precision: ReducedPrecision, tiles: Array, threads: int | None) -> _Plan:
    if precision == "int8":
        return _quantised(model, tiles)
    return _reduced(model, tiles, {"fp16": FP16, "bf16": BF16}[precision], threads)


def _reduced(model: onnx.ModelProto, tiles: Array, reduced: ReducedType, threads: int | None) -> _Plan:
    """Everything but the keep list in a reduced float type."""
    model = with_operators_for(model, reduced)
    largest = audit_ranges(model, tiles, threads=threads) | largest_weights(model)
    kept = kept_nodes(model, largest, reduced)
    layers = layers_of(model, {node.name for node in model.graph.node} - {node.node for node in kept})

    def build(restored: frozenset[str]) -> bytes:
        nodes = {node for layer, nodes in layers.items() if layer not in restored for node in nodes}
        return _content(in_reduced_type(model, nodes, reduced))

    return _Plan(model, kept, layers, build, largest)


def _quantised(model: onnx.ModelProto, tiles: Array) -> _Plan:
    """Convolutions between QuantizeLinear and DequantizeLinear, but the first, the last, and those of pooled values.

    Convolutions that read the same tensor are one layer: what is rounded is the tensor, once for all of them.
    """
    feeds, head, pooled = {value.name for value in model.graph.input}, head_nodes(model), pooled_tensors(model)
    kept: list[KeptNode] = []
    readers: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type not in CONVOLUTIONS:
            continue
        if node.name in head:
            kept.append(KeptNode(node.name, node.op_type, "head", "decides the answer"))
        elif node.input[0] in feeds:
            kept.append(KeptNode(node.name, node.op_type, "stem", "reads the image; little to gain"))
        elif node.input[0] in pooled:
            kept.append(KeptNode(node.name, node.op_type, "pooled", "reads one value a channel; nothing to gain"))
        else:
            readers.setdefault(node.input[0], []).append(node.name)
    layers = {names[0]: tuple(names) for names in readers.values()}
    quantiser = StaticQuantiser(model, tiles)

    def build(restored: frozenset[str]) -> bytes:
        return _content(
            quantiser.quantise([name for layer, names in layers.items() if layer not in restored for name in names])
        )

    return _Plan(model, kept, layers, build, quantiser.largest)


def _content(model: onnx.ModelProto) -> bytes:
    strip_metadata(model)
    return model.SerializeToString(deterministic=True)


def _float32_network(network: bytes) -> onnx.ModelProto:
    """Return the model of a float32 file with one input, one output and distinct node names, or refuse it."""
    model = onnx.load_model_from_string(network)
    problems: list[str] = []
    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        problems.append(f"{len(model.graph.input)} inputs and {len(model.graph.output)} outputs")
    names = [node.name for node in model.graph.node]
    if "" in names or len(set(names)) != len(names):
        problems.append("nodes without a name of their own")
    types = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    types |= {tensor.data_type for tensor in model.graph.initializer} - {TensorProto.INT64}
    if types != {TensorProto.FLOAT}:
        problems.append(", ".join(sorted(TensorProto.DataType.Name(found) for found in types)))
    if problems:
        raise ExportError(
            "network to reduce",
            got="; ".join(problems),
            expected="a float32 graph of one input and one output with named nodes",
            fix="pass the fp32 variant of a bundle's network",
        )
    return model


def _check_result(content: bytes, model: onnx.ModelProto) -> None:
    """Refuse a result that is no valid graph, or whose inputs or outputs differ from the float32 file's."""
    result = onnx.load_model_from_string(content)
    problem = ""
    try:
        onnx.checker.check_model(result, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        problem = str(error).splitlines()[0]
    for ours, theirs in (
        (result.graph.input, model.graph.input),
        (result.graph.output, model.graph.output),
    ):
        if [(a.name, a.type) for a in ours] != [(b.name, b.type) for b in theirs]:
            problem = problem or "other inputs or outputs"
    if problem:
        raise ExportError(
            "reduced network", got=problem, expected="a valid graph with the same interface", fix="report this as a bug"
        )
