"""What OpenVINO makes of int8: a convolution without a bias loses its scale, unless it gets a tiny one."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from fundusrt_export.deployed_network import DeployedNetwork
from fundusrt_export.onnx_trace import to_onnx
from fundusrt_export.passes import tiny_bias
from fundusrt_export.passes.tiny_bias import TINY
from fundusrt_export.precision.answering import in_onnxruntime, in_openvino
from fundusrt_export.precision.convert import unjudged
from fundusrt_export.rewrite.channel_group_norm import ChannelGroupNorm

SIDE = 64


@pytest.fixture(scope="module")
def network() -> bytes:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, bias=False), ChannelGroupNorm.from_module(nn.GroupNorm(2, 8)), nn.ReLU(),
        nn.Conv2d(8, 1, 1), nn.Sigmoid(),
    )  # fmt: skip
    return to_onnx(DeployedNetwork(module.eval()), (3, SIDE, SIDE), "answer")


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    return np.random.default_rng(0).random((2, 3, SIDE, SIDE), np.float32)


def with_biases(network: bytes) -> bytes:
    model = onnx.load_model_from_string(network)
    assert tiny_bias(model) == 1
    assert tiny_bias(model) == 0
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def test_the_bias_changes_nothing(network: bytes, tiles: np.ndarray) -> None:
    run = in_onnxruntime(threads=1)
    np.testing.assert_array_equal(run(with_biases(network), tiles), run(network, tiles))


def test_with_it_openvino_answers_what_the_file_says(network: bytes, tiles: np.ndarray) -> None:
    quantised = unjudged(with_biases(network), "int8", tiles, threads=1)
    said, made = in_onnxruntime(threads=1)(quantised, tiles), in_openvino(threads=1)(quantised, tiles)
    exact = in_onnxruntime(threads=1)(network, tiles)
    assert np.abs(np.subtract(made, said)).max() < 1e-3  # without the bias: 0.06
    assert 1e-4 < np.abs(np.subtract(made, exact)).max() < 0.05  # it is quantised, and not far off


def test_weights_that_are_computed_are_declined(network: bytes) -> None:
    model = onnx.load_model_from_string(network)
    (node,) = (node for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 2)
    model.graph.node.insert(0, onnx.helper.make_node("Identity", [node.input[1]], ["computed"], name="computing"))
    node.input[1] = "computed"
    assert tiny_bias(model) == 0


def test_transposed_and_grouped(network: bytes) -> None:
    del network
    made = []
    for module in (nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False), nn.Conv2d(4, 6, 1, groups=2, bias=False)):
        model = onnx.load_model_from_string(to_onnx(DeployedNetwork(module.eval()), (4, 8, 8), "answer"))
        tiny_bias(model)
        onnx.checker.check_model(model, full_check=True)
        made.append(numpy_helper.to_array(model.graph.initializer[-1]))
    assert [values.shape for values in made] == [(6,), (6,)]
    assert all((values == np.float32(TINY)).all() for values in made)
