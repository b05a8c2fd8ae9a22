"""fp16 and bf16: what is reduced, what is kept and why, and that the files run and build."""

from __future__ import annotations

from collections import Counter

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fundusrt_export.errors import ExportError, PrecisionError
from fundusrt_export.precision import DiceJudge, to_precision
from fundusrt_export.precision.judgement import answers
from fundusrt_export.precision.rounding import rounded_twin
from fundusrt_export.precision.typed_graph import BF16, FP16, in_reduced_type, with_operators_for
from tests.export.precision.runtimes import rtx_plan_bytes, run_openvino
from tests.export.precision.small_network import segmenter, tiles

STATISTICS = {
    "Mean_0",
    "Sub_0",
    "Square_0",
    "Mean_1",
    "Add_0",
    "Sqrt_0",
    "Reciprocal_0",
    "Scale_0",
    "Normalise_0",
}
HEAD = {"Conv_5", "Sigmoid_0"}


def element_types(content: bytes) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in onnx.load_model_from_string(content).graph.initializer}


def one_by_one(weight: float, *, opset: int = 18) -> onnx.ModelProto:
    """x (1, 2, 2, 2) -> Conv 1x1 -> Resize by 2 -> y."""
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, side, side])
        for name, side in (("x", 2), ("y", 4))
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="Conv_0"),
        helper.make_node("Resize", ["c", "", "scales"], ["y"], name="Resize_0", mode="nearest"),
    ]
    w = np.array([[0.3, weight], [-weight, 0.7]], np.float32).reshape(2, 2, 1, 1)
    scales = np.array([1, 1, 2, 2], np.float32)
    graph = helper.make_graph(
        nodes, "g", [x], [y], [numpy_helper.from_array(w, "w"), numpy_helper.from_array(scales, "scales")]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_statistics_and_head_stay(precision: str, reduce) -> None:
    report = reduce(precision, limit=0.05).report
    reasons = {node.node: node.reason for node in report.kept}
    assert {name for name, reason in reasons.items() if reason == "statistics"} == STATISTICS
    assert {name for name, reason in reasons.items() if reason == "head"} == HEAD
    assert {"Conv_0", "Conv_1", "Conv_2", "Conv_3", "Conv_4"} <= set(report.reduced)
    assert not set(reasons) & set(report.reduced)
    assert report.figure.holds
    assert report.restored == ()


@pytest.mark.parametrize(("precision", "element_type"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)])
def test_weights_of_reduced_nodes_take_half(precision: str, element_type: int, reduce) -> None:
    result = reduce(precision, limit=0.05)
    types = element_types(result.content)
    assert {name for name, found in types.items() if found == element_type} >= {
        f"{kind}{number}_{precision}" for kind in "wb" for number in range(5)
    }
    assert types["w5"] == types["scale"] == TensorProto.FLOAT
    assert "w1" not in types
    assert result.report.bytes_after < 0.65 * result.report.bytes_before


def test_inputs_and_outputs_stay_float32(reduce) -> None:
    before = onnx.load_model_from_string(segmenter()).graph
    for precision in ("fp16", "bf16"):
        after = onnx.load_model_from_string(reduce(precision, limit=0.05).content)
        onnx.checker.check_model(after, full_check=True)
        assert list(after.graph.input) == list(before.input)
        assert list(after.graph.output) == list(before.output)


def test_a_cast_is_shared(reduce) -> None:
    graph = onnx.load_model_from_string(reduce("fp16", limit=0.05).content).graph
    casts = Counter((node.input[0], node.attribute[0].i) for node in graph.node if node.op_type == "Cast")
    assert casts
    assert max(casts.values()) == 1


def test_fp16_runs_where_it_must(reduce) -> None:
    content, tile = reduce("fp16", limit=0.05).content, tiles(1, seed=9)
    right = answers(segmenter(), tile)[0]
    assert np.abs(answers(content, tile)[0] - right).max() < 0.01
    assert np.abs(answers(rounded_twin(content), tile)[0] - right).max() < 0.01
    assert np.abs(run_openvino(content, tile)[0] - right).max() < 0.01


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_tensorrt_rtx_builds(precision: str, reduce) -> None:
    assert rtx_plan_bytes(reduce(precision, limit=0.05).content) > 0


def test_overflow_is_caught(reduce) -> None:
    """Planted: an activation of more than 65504, scaled back before the next convolution."""
    network = segmenter(gain=1e6)
    model = onnx.load_model_from_string(network)
    every = {node.name for node in model.graph.node if node.op_type in ("Conv", "Relu") or "_0" in node.name}
    judge = DiceJudge(network, tiles(6, seed=5), threshold=0.5, limit=0.05, threads=1)
    careless = model
    for tensor in careless.graph.initializer:  # what a converter that clamps constants makes of it
        if tensor.name == "gain":
            tensor.CopyFrom(numpy_helper.from_array(np.array([65504.0], np.float32), "gain"))
    assert not judge(in_reduced_type(careless, every - STATISTICS - HEAD, FP16).SerializeToString()).holds

    report = reduce("fp16", limit=0.05, gain=1e6).report
    kept = {node.node: node for node in report.kept}
    assert kept["Gain_0"].reason == kept["Loss_0"].reason == "range"
    assert kept["Gain_0"].detail == "gain reaches 1e+06; at most 32752 is safe"
    assert "loud reaches" in kept["Loss_0"].detail
    assert report.largest["loud"] > 65504
    assert report.figure.holds


def test_underflow_is_caught(reduce) -> None:
    kept = {node.node: node for node in reduce("fp16", limit=0.05, gain=1e-5).report.kept}
    assert kept["Gain_0"].reason == "underflow"
    assert kept["Gain_0"].detail.startswith("gain stays below 1e-05")


def test_range_does_not_matter_to_bf16(reduce) -> None:
    report = reduce("bf16", limit=0.05, gain=1e6).report
    assert "Gain_0" in report.reduced
    assert report.figure.holds


def test_a_weight_that_does_not_fit() -> None:
    with pytest.raises(ExportError) as raised:
        in_reduced_type(one_by_one(1e6), {"Conv_0"}, FP16)
    assert str(raised.value) == (
        "weight w: got values up to 1e+06; expected finite values in fp16; keep the nodes that use it in float32"
    )


def test_scales_of_a_resize_stay() -> None:
    reduced = in_reduced_type(one_by_one(0.5), {"Conv_0", "Resize_0"}, FP16)
    onnx.checker.check_model(reduced, full_check=True)
    types = element_types(reduced.SerializeToString())
    assert types == {"w_fp16": TensorProto.FLOAT16, "scales": TensorProto.FLOAT}


@pytest.mark.parametrize(("kind", "dtype"), [(FP16, np.float16), (BF16, ml_dtypes.bfloat16)])
def test_twin_rounds_every_tensor(kind, dtype) -> None:
    model = with_operators_for(one_by_one(0.1234567), kind)
    x = np.random.default_rng(0).standard_normal((1, 2, 2, 2)).astype(np.float32)
    w = numpy_helper.to_array(model.graph.initializer[0])[:, :, 0, 0]

    def rounded(values: np.ndarray) -> np.ndarray:
        return values.astype(dtype).astype(np.float32)

    expected = rounded(np.einsum("oc,nchw->nohw", rounded(w), rounded(x))).repeat(2, 2).repeat(2, 3)
    twin = rounded_twin(in_reduced_type(model, {"Conv_0", "Resize_0"}, kind).SerializeToString())
    assert np.array_equal(answers(twin, x)[0], expected[0])
    assert not np.array_equal(answers(one_by_one(0.1234567).SerializeToString(), x)[0], expected[0])


def test_twin_s_names_are_its_own() -> None:
    """A node that rounds is called Round_0 in an exported graph."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [2]) for name in ("x", "y")]
    nodes = [helper.make_node("Round", ["x"], ["y"], name=f"Round_{number}") for number in range(1)]
    nodes += [helper.make_node("Cast", ["y"], ["z"], name="Round_2", to=TensorProto.FLOAT)]
    graph = helper.make_graph(
        nodes, "g", values[:1], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [2])], value_info=values[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    twin = onnx.load_model_from_string(rounded_twin(model.SerializeToString()))
    names = [node.name for node in twin.graph.node]
    assert len(names) > 2
    assert len(set(names)) == len(names)


def test_twin_of_a_float32_file_is_the_file() -> None:
    assert rounded_twin(segmenter()) == segmenter()


def test_newer_operators_compute_the_same() -> None:
    model = with_operators_for(onnx.load_model_from_string(segmenter()), BF16)
    assert model.opset_import[0].version == 22
    tile = tiles(1)
    assert np.array_equal(answers(model.SerializeToString(), tile)[0], answers(segmenter(), tile)[0])


def test_layers_are_put_back_until_the_limit_holds(reduce) -> None:
    loose = reduce("bf16", limit=0.05).report
    limit = loose.figure.value / 2
    tight = reduce("bf16", limit=limit).report
    assert tight.unrestored.value == loose.figure.value
    assert tight.figure.value <= limit
    assert 0 < len(tight.restored) < 5
    accuracy = {node.node for node in tight.kept if node.reason == "accuracy"}
    assert set(tight.restored) <= accuracy
    assert not accuracy & set(tight.reduced)


def test_no_file_that_misses_its_limit() -> None:
    network = segmenter()
    judge = DiceJudge(network, tiles(6, seed=5), threshold=0.5, limit=-1.0, threads=1)
    with pytest.raises(PrecisionError) as raised:
        to_precision(network, "fp16", tiles(4), task="segmentation", judge=judge, threads=1)
    error = raised.value
    assert error.code == "precision-error"
    assert error.subject == "precision fp16"
    assert str(error.got).endswith("with 4 of 5 layers in float32")
    assert error.expected == "at most -1"
    assert error.fix == "export this network in fp32"


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_the_same_bytes_twice(precision: str, reduce) -> None:
    network = segmenter()
    judge = DiceJudge(network, tiles(6, seed=5), threshold=0.5, limit=0.05, threads=1)
    again = to_precision(network, precision, tiles(16), task="segmentation", judge=judge, threads=1)  # type: ignore[arg-type]
    first = reduce(precision, limit=0.05)
    assert again.content == first.content
    assert again.report == first.report
