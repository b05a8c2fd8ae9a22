"""MAGE-Net as it is deployed: pruned, rewritten and exported, and equal to the training network."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.errors import UsageError
from fundusrt_export.mage_net_deployed import OUTPUT, Enhancer, deployed_enhancer, op_budget
from fundusrt_export.onnx_checks import FORBIDDEN_OPS
from fundusrt_export.onnx_trace import INPUT
from fundusrt_export.rewrite.group_norm import TwoPassGroupNorm
from fundusrt_training.models.ag_net import AgNet
from fundusrt_training.models.mage_net import MageNet
from tests.export.small_enhancement import SIDE, TEACHER, exported_teacher, network
from tests.tolerances import ENHANCED_FLOAT32


@pytest.fixture(scope="module")
def net() -> MageNet:
    return network(TEACHER)


@pytest.fixture(scope="module")
def exported() -> onnx.ModelProto:
    return onnx.load_model_from_string(exported_teacher())


def truth(net: MageNet, feed: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return net(torch.from_numpy(feed)).stages[-1].numpy()


def feed_of(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((batch, 3, SIDE, SIDE), np.float32)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_file_answers_as_the_training_network_at_any_batch(
    net: MageNet, exported: onnx.ModelProto, batch: int
) -> None:
    feed = feed_of(batch, batch)
    session = OnnxRuntimeSession(exported.SerializeToString(), source="test", threads=1)
    made, expected = session.run({INPUT: feed})[OUTPUT], truth(net, feed)
    assert made.shape == feed.shape
    assert np.abs(expected - feed).max() > 0.1  # the network does something
    assert np.abs(made - expected).max() <= ENHANCED_FLOAT32


def test_nothing_that_only_the_objective_needs_is_in_the_file(net: MageNet, exported: onnx.ModelProto) -> None:
    names = {tensor.name for tensor in exported.graph.initializer}
    assert not [name for name in names if name.startswith("rsp.heads")]
    assert {"stage1.shallow.0.weight", "sam.to_image.weight", "stage2.to_image.weight"} <= names
    assert isinstance(net.rsp, AgNet)
    heads = {value.numpy().tobytes() for value in net.rsp.heads.state_dict().values() if value.numel() > 2}
    assert heads
    assert not heads & {numpy_helper.to_array(tensor).tobytes() for tensor in exported.graph.initializer}
    assert [value.name for value in exported.graph.output] == [OUTPUT]
    assert len(net.rsp.heads) == 4  # the network itself was left as it was


def test_the_graph(net: MageNet, exported: onnx.ModelProto) -> None:
    operators = Counter(node.op_type for node in exported.graph.node)
    assert not FORBIDDEN_OPS & set(operators)
    assert operators["Shape"] == operators["InstanceNormalization"] == operators["ConvTranspose"] == 0
    deployed = deployed_enhancer(net)
    assert len(exported.graph.node) <= op_budget(deployed) <= 1.1 * len(exported.graph.node)
    # one copy of stage 1's encoder: the halves are stacked on the batch
    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in deployed.modules())
    assert operators["Conv"] == convolutions
    # window means: eight a guided filter, over the part of the window inside the image
    pools = [node for node in exported.graph.node if node.op_type == "AveragePool"]
    assert len(pools) == 4 * 8
    for node in pools:
        fields = {attribute.name: attribute for attribute in node.attribute}
        assert list(fields["kernel_shape"].ints) == [5, 5]
        assert list(fields["pads"].ints) == [2, 2, 2, 2]
        assert fields["count_include_pad"].i == 0
    # and the number of pixels in each window, which an exporter that drops `divisor_override` gets wrong
    constants = [numpy_helper.to_array(tensor) for tensor in exported.graph.initializer]
    for side in (SIDE // 16, SIDE // 8, SIDE // 4, SIDE // 2):
        (counts,) = (values for values in constants if values.shape == (1, 1, side, side))
        line = np.convolve(np.ones(side), np.ones(5), "same")
        assert np.array_equal(counts[0, 0], np.outer(line, line))
    assert {tensor.data_type for tensor in exported.graph.initializer} == {
        onnx.TensorProto.FLOAT, onnx.TensorProto.INT64,
    }  # fmt: skip


ABLATIONS: list[dict[str, Any]] = [
    {"stages": 1},
    {"use_rsp": False},
    {"split": "width"},
    {"split": "none"},
    {"prelu_shared": False, "cab_attention": False, "fab_filter": "conv1_prelu"},
]


@pytest.mark.parametrize("fields", ABLATIONS, ids=str)
def test_every_ablation_has_a_deployed_form(fields: dict[str, Any]) -> None:
    net = network(**fields)
    feed = feed_of(2)
    with torch.no_grad():
        made = deployed_enhancer(net, example=torch.from_numpy(feed))(torch.from_numpy(feed)).numpy()
    np.testing.assert_allclose(made, truth(net, feed), rtol=0, atol=ENHANCED_FLOAT32)


def test_group_normalisations_are_rewritten_and_the_heads_gone(net: MageNet) -> None:
    deployed = deployed_enhancer(net)
    assert isinstance(deployed, Enhancer)
    kinds = Counter(type(module) for module in deployed.modules())
    assert kinds[torch.nn.GroupNorm] == 0
    assert kinds[TwoPassGroupNorm] == 20
    kept = {name for name in net.state_dict() if not name.startswith("rsp.heads")}
    assert set(deployed.state_dict()) == kept


def test_a_network_in_training_is_refused(net: MageNet) -> None:
    training = MageNet(net.config).train()
    with pytest.raises(UsageError, match=r"network to export: got training mode; expected eval mode; call eval\(\)"):
        deployed_enhancer(training)
