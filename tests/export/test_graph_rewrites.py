"""Passes that change what is computed or moved: halves, two classes, InstanceNormalization; and the statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fundusrt_export.passes import binary_softmax, exact_instance_norm, graph_statistics, merge_axes
from tests.export.test_passes import run

RNG = np.random.default_rng(0)
IMAGE = RNG.standard_normal((3, 2, 6, 4)).astype(np.float32)


def model(nodes: list[Any], constants: dict[str, np.ndarray], outputs: tuple[str, ...] = ("y",)) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 6, 4])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], made, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


# --- merge_axes


def halves(
    first: tuple[int, ...] = (-1, 2, 2, 3, 4),
    perm: tuple[int, ...] | None = (0, 2, 1, 3, 4),
    second: tuple[int, ...] = (-1, 2, 3, 4),
    *,
    outputs: tuple[str, ...] = ("y",),
    **attributes: int,
) -> onnx.ModelProto:
    """x (N, 2, 6, 4) to its upper and lower halves (2N, 2, 3, 4)."""
    nodes = [
        helper.make_node("Reshape", ["x", "first"], ["a"], **attributes),
        helper.make_node("Transpose", ["a"], ["b"], **({} if perm is None else {"perm": perm})),
        helper.make_node("Reshape", ["b", "second"], ["y"]),
    ]
    return model(nodes, {"first": np.array(first, np.int64), "second": np.array(second, np.int64)}, outputs)


@pytest.mark.parametrize(
    ("first", "perm", "second", "merged"),
    [
        ((-1, 2, 2, 3, 4), (0, 2, 1, 3, 4), (-1, 2, 3, 4), [-1, 2, 2, 12]),  # halves of the height
        ((-1, 2, 6, 2, 2), (0, 3, 1, 2, 4), (-1, 2, 6, 2), [-1, 12, 2, 2]),  # halves of the width
        ((-1, 2, 2, 6, 2), (0, 2, 3, 1, 4), (-1, 12, 4), [-1, 2, 12, 2]),  # and back
    ],
)
@pytest.mark.parametrize("allowzero", [0, 1])  # PyTorch's exporter sets it
def test_merge_axes(first: Any, perm: Any, second: Any, merged: list[int], allowzero: int) -> None:
    made = halves(first, perm, second, allowzero=allowzero)
    before = run(made, IMAGE)
    made = onnx.shape_inference.infer_shapes(made)  # as the exporter leaves it
    assert merge_axes(made) == 1
    onnx.checker.check_model(made, full_check=True)
    np.testing.assert_array_equal(run(made, IMAGE), before)
    targets = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in made.graph.initializer}
    assert targets[made.graph.node[0].input[1]] == merged
    assert len(made.graph.node) == 3


@pytest.mark.parametrize(
    ("case", "keywords"),
    [
        (1, {"outputs": ("y", "a")}),
        (1, {"outputs": ("y", "b")}),
        (2, {"first": (0, 2, 2, 3, 4)}),
        (2, {"first": (3, 2, 2, -1, 4)}),
        (3, {"second": (0, 4, 3, 4)}),
        (4, {"perm": None, "second": (-1, 4)}),
        (4, {"perm": (0, 4, 3, 2, 1), "second": (-1, 4)}),
    ],
)
def test_merge_axes_declines(case: int, keywords: dict[str, Any]) -> None:
    made = halves(**keywords)
    before = made.SerializeToString()
    assert merge_axes(made) == 0, f"case {case} of the docstring"
    assert made.SerializeToString() == before


# --- binary_softmax


def head(
    *,
    classes: int = 2,
    chosen: int = 1,
    axis: int = 1,
    resize: bool = True,
    bias: bool = True,
    group: int = 1,
    mode: str = "linear",
    scales: tuple[float, ...] = (1, 1, 2, 2),
    step: int = 1,
    outputs: tuple[str, ...] = ("y",),
) -> onnx.ModelProto:
    weights = {"w": RNG.standard_normal((classes, 2 // group, 1, 1)).astype(np.float32)}
    if bias:
        weights["b"] = RNG.standard_normal(classes).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", *weights], ["z"], group=group)]
    if resize:
        kind = {"coordinate_transformation_mode": "align_corners"} if mode == "linear" else {}
        nodes.append(helper.make_node("Resize", ["z", "", "scales"], ["r"], mode=mode, **kind))
    nodes += [
        helper.make_node("Softmax", ["r" if resize else "z"], ["p"], axis=axis),
        helper.make_node("Slice", ["p", "start", "end", "axes", "steps"], ["y"]),
    ]
    bounds = {"start": [chosen], "end": [chosen + 1], "axes": [1], "steps": [step]}
    constants = {name: np.array(values, np.int64) for name, values in bounds.items()}
    return model(nodes, {**weights, **constants, "scales": np.float32(scales)}, outputs)


@pytest.mark.parametrize("chosen", [0, 1])
@pytest.mark.parametrize("resize", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_binary_softmax(chosen: int, resize: bool, bias: bool) -> None:
    made = head(chosen=chosen, resize=resize, bias=bias)
    before = run(made, IMAGE)
    assert before.std() > 0.05
    assert binary_softmax(made) == 1
    assert [node.op_type for node in made.graph.node] == ["Conv", *(["Resize"] if resize else []), "Sigmoid"]
    np.testing.assert_allclose(run(made, IMAGE), before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("case", "keywords"),
    [
        (1, {"classes": 3}),
        (1, {"axis": 3}),
        (1, {"mode": "nearest", "scales": (1, 0.5, 2, 2)}),
        (2, {"outputs": ("y", "p")}),
        (2, {"outputs": ("y", "r")}),
        (2, {"outputs": ("y", "z")}),
        (3, {"group": 2}),
    ],
)
def test_binary_softmax_declines(case: int, keywords: dict[str, Any]) -> None:
    made = head(**keywords)
    before = made.SerializeToString()
    assert binary_softmax(made) == 0, f"case {case} of the docstring"
    assert made.SerializeToString() == before


# --- exact_instance_norm


def instance(rank: int = 3) -> onnx.ModelProto:
    shape = [-1, 2, 24] if rank == 3 else [-1, 2, 6, 4]
    constants = {
        "shape": np.array(shape, np.int64),
        "scale": np.float32([2.0, -0.5]),
        "bias": np.float32([0.25, 1.0]),
    }
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("InstanceNormalization", ["r", "scale", "bias"], ["n"], epsilon=1e-3),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    return model(nodes, constants)


def test_exact_instance_norm() -> None:
    made = instance()
    before = run(made, IMAGE)
    assert exact_instance_norm(made) == 1
    assert "InstanceNormalization" not in graph_statistics(made.SerializeToString()).operators
    np.testing.assert_allclose(run(made, IMAGE), before, rtol=0, atol=1e-5)


def test_exact_instance_norm_declines_another_rank() -> None:
    made = instance(rank=4)
    before = made.SerializeToString()
    assert exact_instance_norm(made) == 0
    assert made.SerializeToString() == before


def test_graph_statistics() -> None:
    content = halves().SerializeToString()
    found = graph_statistics(content)
    assert (found.nodes, found.operators, found.bytes) == (3, {"Reshape": 2, "Transpose": 1}, len(content))
