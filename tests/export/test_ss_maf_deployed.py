"""SS-MAF as it is deployed: pruned, rewritten and exported, and equal to the training network."""

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
from fundusrt_export.errors import ExportError
from fundusrt_export.onnx_checks import FORBIDDEN_OPS
from fundusrt_export.onnx_trace import INPUT
from fundusrt_export.ss_maf_deployed import OUTPUT, DeployedSsMaf, deployed_stream, export_ss_maf, op_budget
from fundusrt_training.models.ss_maf import SsMaf
from tests.export.small_exudate import SIZE, network

LIMIT = 1e-4  # the ladder's: of the output range, which is 1

TRAINING_ONLY = ("sr_decoder", "sr_head", "maf")


@pytest.fixture(scope="module")
def net() -> SsMaf:
    return network()


@pytest.fixture(scope="module")
def exported(net: SsMaf) -> onnx.ModelProto:
    return onnx.load_model_from_string(export_ss_maf(deployed_stream(net), net, *SIZE))


def truth(net: torch.nn.Module, feed: np.ndarray) -> np.ndarray:
    """The training network's own answer, with softmax."""
    with torch.no_grad():
        return net(torch.from_numpy(feed)).softmax(dim=1)[:, 1:2].numpy()


def feed_of(batch: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((batch, 3, *SIZE), np.float32) - np.float32(0.5)) * np.float32(2)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_file_answers_as_the_training_network_at_any_batch(
    net: SsMaf, exported: onnx.ModelProto, batch: int
) -> None:
    feed = feed_of(batch, batch)
    session = OnnxRuntimeSession(exported.SerializeToString(), source="test", threads=1)
    made, expected = session.run({INPUT: feed})[OUTPUT], truth(net, feed)
    assert made.shape == (batch, 1, 2 * SIZE[0], 2 * SIZE[1])
    assert expected.max() - expected.min() > 0.5  # the network says something
    assert np.abs(made - expected).max() <= LIMIT


def test_nothing_that_only_training_needs_is_in_the_file(net: SsMaf, exported: onnx.ModelProto) -> None:
    names = {tensor.name for tensor in exported.graph.initializer}
    assert not [name for name in names if name.split(".")[0] in TRAINING_ONLY]
    assert "encoder.stages.0.0.0.weight" in names
    assert "seg_head.conv.bias_difference" in names  # of the two classes
    # nor under another name: no initialiser has the values of a weight of theirs
    theirs = {
        value.numpy().tobytes()
        for name, value in net.state_dict().items()
        if name.split(".")[0] in TRAINING_ONLY and value.numel() > 16
    }
    assert theirs
    assert not theirs & {numpy_helper.to_array(tensor).tobytes() for tensor in exported.graph.initializer}
    kept = sum(p.numel() for name, p in net.named_parameters() if name.split(".")[0] not in TRAINING_ONLY)
    numbers = sum(int(np.prod(t.dims)) for t in exported.graph.initializer if t.data_type == onnx.TensorProto.FLOAT)
    # a folded normalisation leaves one bias where it had two factors
    assert numbers < kept + 100


def test_the_graph(net: SsMaf, exported: onnx.ModelProto) -> None:
    operators = Counter(node.op_type for node in exported.graph.node)
    assert not FORBIDDEN_OPS & set(operators)
    assert operators["BatchNormalization"] == operators["Shape"] == 0
    assert operators["Conv"] == 23
    assert operators["Resize"] == 5
    assert operators["Sigmoid"] == 1
    assert operators["Softmax"] == operators["Slice"] == 0
    assert len(exported.graph.node) == op_budget(net)
    resizes = [node for node in exported.graph.node if node.op_type == "Resize"]
    for node in resizes:
        modes = {attribute.name: attribute.s for attribute in node.attribute}
        assert (modes["mode"], modes["coordinate_transformation_mode"]) == (b"linear", b"align_corners")
    made_by = {name: node.op_type for node in exported.graph.node for name in node.output}
    # the 1x1 convolutions come first: a quarter of the work
    assert [made_by[node.input[0]] for node in resizes] == ["Conv"] * 5


@pytest.mark.parametrize(
    "fields", [{"stream": "unet"}, {"stream": "unet_interp_sr", "classes": 3}, {"pool": 2, "up": 4}]
)
def test_other_streams(fields: dict[str, Any]) -> None:
    net = network(**fields)
    feed = feed_of(2)
    with torch.no_grad():
        made = DeployedSsMaf(deployed_stream(net, example=torch.from_numpy(feed)))(torch.from_numpy(feed)).numpy()
    assert np.abs(made - truth(net, feed)).max() <= 1e-5


def test_without_enlargement_the_head_has_no_resize() -> None:
    net = network(stream="unet")
    model = onnx.load_model_from_string(export_ss_maf(deployed_stream(net), net, *SIZE))
    assert Counter(node.op_type for node in model.graph.node)["Resize"] == 4
    assert len(model.graph.node) == op_budget(net)


def test_a_network_in_training_is_refused(net: SsMaf) -> None:
    training = SsMaf(net.config).train()
    with pytest.raises(UsageError, match=r"network to export: got training mode; expected eval mode; call eval\(\)"):
        deployed_stream(training)


def test_an_unpruned_network_does_not_pass_the_checks(net: SsMaf) -> None:
    class Fused(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            f_seg = net.seg_decoder(net.encoder(x))
            f_sr = net.sr_decoder(net.encoder(x))
            return net.seg_head(f_seg) + net.seg_head(net.maf(f_sr, f_seg)[1])

    with pytest.raises(ExportError, match="more than the 59 this network needs"):
        export_ss_maf(Fused().eval(), net, *SIZE)
