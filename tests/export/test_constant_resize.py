"""The pass that gives a Resize constant scales: what it changes, what it leaves alone, and that no bit changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fundusrt_export.passes import constant_resize
from tests.export.test_passes import run, run_all


def resized(
    *,
    source: tuple[int | str, int | str] = (6, 5),
    target: tuple[int, ...] = (12, 15),
    mode: str = "align_corners",
    interpolation: str = "linear",
    end: int = 2,
    shape_of: str = "x",
    other_use: bool = False,
) -> onnx.ModelProto:
    """x -> Resize to the batch and channels of `shape_of`, and a constant height and width."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, *source])
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2, "height", "width"])]
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Shape", [shape_of], ["s"], start=0, end=end),
        helper.make_node("Concat", ["s", "size"], ["sizes"], axis=0),
        helper.make_node(
            "Resize", ["x", "", "", "sizes"], ["y"], mode=interpolation, coordinate_transformation_mode=mode
        ),
    ]
    if other_use:
        nodes.append(helper.make_node("Cast", ["sizes"], ["z"], to=TensorProto.FLOAT))
        outputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    size = numpy_helper.from_array(np.array(target, np.int64), "size")
    graph = helper.make_graph(nodes, "g", [x], outputs, [size])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("mode", ["align_corners", "half_pixel", "pytorch_half_pixel", "asymmetric"])
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize("target", [(12, 10), (6, 5), (12, 15), (3, 20), (24, 5)])
def test_equal_to_the_bit(mode: str, interpolation: str, target: tuple[int, int]) -> None:
    model = resized(mode=mode, interpolation=interpolation, target=target)
    x = np.random.default_rng(0).standard_normal((3, 2, 6, 5)).astype(np.float32)
    before = run(model, x)
    assert constant_resize(model) == 1
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Relu", "Resize"]
    assert np.array_equal(run(model, x), before)
    scales = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}[model.graph.node[1].input[2]]
    assert scales.tolist() == [1.0, 1.0, target[0] / 6, target[1] / 5]


@pytest.mark.parametrize(
    "keywords",
    [
        {"source": ("h", 5)},
        {"source": (6, "w")},
        {"target": (7, 10)},  # 7/6 is not exact
        {"end": 1, "target": (2, 12, 10)},
        {"shape_of": "r"},
        {"other_use": True},
    ],
    ids=str,
)
def test_left_alone(keywords: dict[str, Any]) -> None:
    model = resized(**keywords)
    before = model.SerializeToString(deterministic=True)
    assert constant_resize(model) == 0
    assert model.SerializeToString(deterministic=True) == before


def pyramid(*, shape_kept: bool = False) -> onnx.ModelProto:
    """x resized to two sizes, whose batch and channels come from one Shape; the second times two."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 8, 4])
    nodes = [helper.make_node("Shape", ["x"], ["s"], start=0, end=2)]
    for name in ("half", "double"):
        nodes += [
            helper.make_node("Concat", ["s", f"{name}_size"], [f"{name}_sizes"], axis=0),
            helper.make_node("Resize", ["x", "", "", f"{name}_sizes"], [name], mode="linear"),
        ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2, *size])
        for name, size in (("half", (4, 2)), ("double", (16, 8)))
    ]
    if shape_kept:
        outputs.append(helper.make_tensor_value_info("s", TensorProto.INT64, [2]))
    sizes = [
        numpy_helper.from_array(np.array(size, np.int64), f"{name}_size")
        for name, size in (("half", (4, 2)), ("double", (16, 8)))
    ]
    graph = helper.make_graph(nodes, "g", [x], outputs, sizes)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("shape_kept", [False, True])
def test_sizes_that_share_one_shape(shape_kept: bool) -> None:
    model = pyramid(shape_kept=shape_kept)
    x = np.random.default_rng(1).standard_normal((3, 2, 8, 4)).astype(np.float32)
    before = run_all(model, x)
    assert constant_resize(model) == 2
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Shape"] * shape_kept + ["Resize", "Resize"]
    after = run_all(model, x)
    assert len(after) == 2 + shape_kept
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_resize_by_scales_is_left_alone() -> None:
    model = resized()
    assert constant_resize(model) == 1
    assert constant_resize(model) == 0
