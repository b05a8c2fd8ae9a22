"""Graph passes: what they change, what they leave alone, and that no result changes by a bit."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from fundusrt_export.passes import constant_reshape, stable_names, strip_metadata


def reshape_back(
    *,
    batch: str | int = "batch",
    height: int | str = 4,
    start: int | None = None,
    allowzero: int = 0,
    other_use: bool = False,
) -> onnx.ModelProto:
    """x -> Reshape to (0, 2, -1) -> Relu -> Reshape to Shape(x)."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 6, height, 5])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    shape = helper.make_node("Shape", ["x"], ["s"], **({} if start is None else {"start": start}))
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["g"]),
        helper.make_node("Relu", ["g"], ["r"]),
        shape,
        helper.make_node("Reshape", ["r", "s"], ["y"], allowzero=allowzero),
    ]
    outputs = [y]
    if other_use:
        nodes.append(helper.make_node("Cast", ["s"], ["z"], to=TensorProto.FLOAT))
        outputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    flat = numpy_helper.from_array(np.array([0, 2, -1], np.int64), "flat")
    graph = helper.make_graph(nodes, "g", [x], outputs, [flat])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run_all(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return run_all(model, x)[0]


@pytest.mark.parametrize("start", [None, 0])
def test_constant_reshape(start: int | None) -> None:
    model = reshape_back(start=start)
    x = np.random.default_rng(0).standard_normal((3, 6, 4, 5)).astype(np.float32)
    before = run(model, x)
    assert constant_reshape(model) == 1
    assert [node.op_type for node in model.graph.node] == ["Reshape", "Relu", "Reshape"]
    assert np.array_equal(run(model, x), before)
    target = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}[model.graph.node[-1].input[1]]
    assert target.tolist() == [0, 6, 4, 5]


@pytest.mark.parametrize(
    ("case", "keywords"),
    [
        (1, {"start": 1}),
        (1, {"other_use": True}),
        (2, {"height": "h"}),
        (3, {"allowzero": 1}),
        (3, {"batch": ""}),
    ],
)
def test_constant_reshape_declines(case: int, keywords: dict[str, object]) -> None:
    model = reshape_back(**keywords)  # type: ignore[arg-type]
    before = model.SerializeToString()
    assert constant_reshape(model) == 0, f"case {case} of the docstring"
    assert model.SerializeToString() == before


def test_strip_metadata() -> None:
    model = reshape_back()
    model.doc_string = model.graph.doc_string = "made at /some/where"
    model.graph.node[0].doc_string = 'File "/some/where/model.py"'
    model.graph.node[1].metadata_props.add(key="stack_trace", value="/some/where")
    model.metadata_props.add(key="user", value="somebody")
    model.graph.input[0].doc_string = "/some/where"
    assert strip_metadata(model) == 6
    assert b"some" not in model.SerializeToString()
    assert model.producer_name == "fundusrt_export"
    assert strip_metadata(model) == 0


def test_stable_names_depend_on_the_graph_alone() -> None:
    first, second = reshape_back(), reshape_back()
    for number, node in enumerate(second.graph.node):
        node.name = f"something_{number + 17}"
    for old, new in (("g", "val_93"), ("r", "relu"), ("s", "val_7"), ("flat", "val_1")):
        for node in second.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
        for tensor in second.graph.initializer:
            tensor.name = new if tensor.name == old else tensor.name
    x = np.ones((1, 6, 4, 5), np.float32)
    before = run(second, x)
    for model in (first, second):
        assert stable_names(model) > 0
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    assert np.array_equal(run(second, x), before)
    assert [node.name for node in first.graph.node] == ["Reshape_0", "Relu_0", "Shape_0", "Reshape_1"]
    assert [value.name for value in (*first.graph.input, *first.graph.output)] == ["x", "y"]


def test_stable_names_merges_equal_constants_and_keeps_parameters() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    nodes = [
        helper.make_node("Mul", ["x", "a"], ["m"]),
        helper.make_node("Add", ["m", "network.head.bias"], ["n"]),
        helper.make_node("Mul", ["n", "b"], ["y"]),
    ]
    two = np.full(2, 2.0, np.float32)
    tensors = [numpy_helper.from_array(two, name) for name in ("b", "unused", "a", "network.head.bias")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], tensors), opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )
    stable_names(model)
    assert [tensor.name for tensor in model.graph.initializer] == ["constant_0", "head.bias"]
    assert run(model, np.array([1.0, 3.0], np.float32)).tolist() == [8.0, 16.0]
