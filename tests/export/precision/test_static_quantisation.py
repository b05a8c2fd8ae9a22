"""int8: symmetric Q/DQ around convolutions, layers that cannot bear it put back, or an error."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from fundusrt_export.errors import PrecisionError
from fundusrt_export.precision import DiceJudge, to_precision
from fundusrt_export.precision.judgement import answers
from tests.export.precision.runtimes import rtx_plan_bytes, run_openvino
from tests.export.precision.small_network import CHANNELS, segmenter, tiles

LOOSE = 0.1


def test_first_and_last_convolution_stay(reduce) -> None:
    report = reduce("int8", limit=LOOSE).report
    assert [(node.node, node.reason) for node in report.kept] == [("Conv_0", "stem"), ("Conv_5", "head")]
    assert report.reduced == ("Conv_1", "Conv_2", "Conv_3", "Conv_4")
    assert report.restored == ()
    assert report.candidates == 1
    assert report.figure.holds


def test_quantisation_is_symmetric_and_per_channel(reduce) -> None:
    content = reduce("int8", limit=LOOSE).content
    graph = onnx.load_model_from_string(content).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    linear = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert Counter(node.op_type for node in linear)["QuantizeLinear"] >= 4
    for node in linear:
        zero = weights[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
    scales = [weights[node.input[1]] for node in linear if node.input[0] in weights]
    assert [scale.shape for scale in scales] == [(CHANNELS,)] * 4
    assert not {tensor.data_type for tensor in graph.initializer} & {TensorProto.INT32, TensorProto.UINT8}


def test_int8_runs_where_it_must(reduce) -> None:
    content, tile = reduce("int8", limit=LOOSE).content, tiles(1, seed=9)
    right = answers(segmenter(), tile)[0]
    assert np.abs(answers(content, tile)[0] - right).mean() < 0.02
    assert np.abs(run_openvino(content, tile)[0] - right).mean() < 0.02
    assert rtx_plan_bytes(content) > 0


def test_a_layer_that_ruins_int8_is_put_back(reduce) -> None:
    """Planted: one channel of what Conv_2 reads is 500 times as large, so that 8 bits leave the others nothing."""
    report = reduce("int8", limit=LOOSE, outlier=500.0).report
    assert report.unrestored.value > 0.3
    assert report.restored[0] == "Conv_2"
    assert report.figure.holds
    assert report.reduced
    assert {node.node for node in report.kept if node.reason == "accuracy"} == set(report.restored)


def test_error_when_the_limit_cannot_be_kept() -> None:
    network = segmenter(outlier=500.0)
    judge = DiceJudge(network, tiles(6, seed=5), threshold=0.5, limit=1e-9, threads=1)
    with pytest.raises(PrecisionError) as raised:
        to_precision(network, "int8", tiles(16), task="segmentation", judge=judge, threads=1)
    assert str(raised.value).startswith("precision int8: got Dice drop against the float32 mask 0.0")
    assert str(raised.value).endswith(
        "with 3 of 4 layers in float32; expected at most 1e-09; export this network in fp16 or fp32"
    )


def test_the_same_bytes_twice(reduce) -> None:
    network = segmenter()
    judge = DiceJudge(network, tiles(6, seed=5), threshold=0.5, limit=LOOSE, threads=1)
    again = to_precision(network, "int8", tiles(16), task="segmentation", judge=judge, threads=1)
    assert again.content == reduce("int8", limit=LOOSE).content


def test_report_as_plain_values(reduce) -> None:
    plain = reduce("int8", limit=LOOSE).report.to_dict()
    assert plain["kept"][0] == {
        "node": "Conv_0",
        "operator": "Conv",
        "reason": "stem",
        "detail": "reads the image; little to gain",
    }
    assert plain["figure"]["limit"] == LOOSE
    assert plain["calibration"]["tiles"] == 16
    assert plain["largest"]["r0"] > 0.5
