"""The exported file: equal to PyTorch at any batch, nothing forbidden in it (same bytes again: test_reproducible)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.errors import InvalidInput
from fundusrt_export.branch import DeployedBranch
from fundusrt_export.errors import ExportError, RewriteDeclined
from fundusrt_export.onnx_checks import FORBIDDEN_OPS, check_onnx, op_budget
from fundusrt_export.onnx_export import INPUT, OPSET, OUTPUT, export_branch
from fundusrt_training.models.unet_wavelet import UNetWaveletConfig
from tests.export.small_system import SIDE, network

LIMIT = 1e-4  # the ladder's: of the output range, which is 1


def answers(content: bytes, feed: np.ndarray) -> np.ndarray:
    return OnnxRuntimeSession(content, source="test", threads=1).run({INPUT: feed})[OUTPUT]


def truth(net: torch.nn.Module, feed: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return DeployedBranch(net)(torch.from_numpy(feed)).numpy()


@pytest.fixture(scope="module")
def exported() -> dict[str, bytes]:
    return {form: export_branch(network(), form=form, size_px=SIDE) for form in ("identity", "convolution")}  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["identity", "convolution"])
@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_equal_to_the_library_form_at_any_batch(exported: dict[str, bytes], form: str, batch: int) -> None:
    feed = np.random.default_rng(batch).random((batch, 3, SIDE, SIDE), np.float32)
    made, expected = answers(exported[form], feed), truth(network(), feed)
    assert made.shape == (batch, 1, SIDE, SIDE)
    assert expected.max() - expected.min() > 0.5  # the network says something
    assert np.abs(made - expected).max() <= LIMIT


def test_the_forms_are_equal(exported: dict[str, bytes]) -> None:
    feed = np.random.default_rng(0).random((2, 3, SIDE, SIDE), np.float32)
    np.testing.assert_allclose(*(answers(content, feed) for content in exported.values()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_flat_images_keep_their_accuracy(level: float) -> None:
    """512 px: here InstanceNormalization would be off by 1e-3 in ONNX Runtime (`rewrite.group_norm`)."""
    net = network(levels=4)
    feed = np.full((1, 3, 512, 512), level, np.float32)
    made = answers(_export_512(), feed)
    assert np.abs(made - truth(net, feed)).max() <= LIMIT


_CACHE: dict[str, bytes] = {}


def _export_512() -> bytes:
    if "content" not in _CACHE:
        _CACHE["content"] = export_branch(network(levels=4))
    return _CACHE["content"]


def test_interface_and_contents_at_512() -> None:
    model = onnx.load_model_from_string(_export_512())
    onnx.checker.check_model(model, full_check=True)
    assert [(value.name, _shape(value)) for value in model.graph.input] == [("image", ["batch", 3, 512, 512])]
    assert [(value.name, _shape(value)) for value in model.graph.output] == [("probability", ["batch", 1, 512, 512])]
    assert [(item.domain, item.version) for item in model.opset_import] == [("", OPSET)]
    operators = Counter(node.op_type for node in model.graph.node)
    assert not FORBIDDEN_OPS & set(operators)
    assert operators["Shape"] == operators["ConvTranspose"] == 0
    assert operators["Conv"] == 23
    assert operators["Sigmoid"] == 1
    assert len(model.graph.node) == op_budget(network(levels=4).config, "identity", "two_pass")
    assert all(
        tensor.data_location == TensorProto.DEFAULT and not tensor.external_data for tensor in model.graph.initializer
    )
    assert {tensor.data_type for tensor in model.graph.initializer} == {TensorProto.FLOAT, TensorProto.INT64}
    # names depend on the graph alone: operators numbered, parameters as in the checkpoint
    assert [node.name for node in model.graph.node][:3] == ["Conv_0", "Reshape_0", "ReduceMean_0"]
    names = {tensor.name for tensor in model.graph.initializer}
    parameters = dict(network(levels=4).named_parameters())
    assert {"encoder.0.0.weight", "decoder.3.align.bias", "head.weight"} <= names & set(parameters)
    assert all(name in parameters or name.startswith("constant_") for name in names)
    # no stack traces, paths or wavelet filters left; nothing that only training needs
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert str(Path(__file__).parents[2]).encode() not in _export_512()
    numbers = sum(
        int(np.prod(tensor.dims)) for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT
    )
    assert numbers <= sum(p.numel() for p in network(levels=4).parameters()) + 100


def _shape(value: onnx.ValueInfoProto) -> list[Any]:
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize(
    "keywords",
    [
        {"wave": "db4", "dwt_mode": "symmetric"},
        {"wave": "db2", "dwt_mode": "periodic", "highs": "predicted", "skip": "concat"},
        {"wave": "bior2.2", "dwt_mode": "periodization"},
        {"wave": "db2", "dwt_mode": "reflect", "highs": "zero", "size_align": "interpolate"},
    ],
)
def test_other_wavelets_export_as_convolutions(keywords: dict[str, Any]) -> None:
    net = network(levels=1, **keywords)
    content = export_branch(net, form="convolution", size_px=SIDE)
    feed = np.random.default_rng(0).random((3, 3, SIDE, SIDE), np.float32)
    assert np.abs(answers(content, feed) - truth(net, feed)).max() <= LIMIT
    with pytest.raises(RewriteDeclined, match="haar identity"):
        export_branch(net, form="identity", size_px=SIDE)


@pytest.mark.parametrize("form", ["identity", "convolution"])
def test_a_deep_narrow_network_is_equal_too(form: Any) -> None:
    net = network(levels=5, max_channels=16)
    feed = np.random.default_rng(0).random((2, 3, SIDE, SIDE), np.float32)
    content = export_branch(net, form=form, size_px=SIDE)
    assert np.abs(answers(content, feed) - truth(net, feed)).max() <= LIMIT


def test_instance_normalisation_for_runtimes_that_fuse_it() -> None:
    content = export_branch(network(), normalisation="instance", size_px=SIDE)
    operators = Counter(node.op_type for node in onnx.load_model_from_string(content).graph.node)
    assert operators["InstanceNormalization"] == 10
    assert operators["Shape"] == 0  # the constant_reshape pass
    feed = np.random.default_rng(0).random((3, 3, SIDE, SIDE), np.float32)
    assert np.abs(answers(content, feed) - truth(network(), feed)).max() <= LIMIT


def test_a_size_the_network_cannot_take_is_refused_before_any_work() -> None:
    with pytest.raises(InvalidInput, match="multiples of 4"):
        export_branch(network(), size_px=66)


def test_every_problem_of_a_file_is_named_at_once(exported: dict[str, bytes]) -> None:
    model = onnx.load_model_from_string(exported["identity"])
    model.graph.node.insert(0, helper.make_node("CumSum", ["image", "axis"], ["unused"], name="somebody's /home/me"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.int32), "axis"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(2), "double"))
    with pytest.raises(ExportError) as caught:
        check_onnx(model.SerializeToString(), UNetWaveletConfig(base=8, levels=2), "identity", "two_pass", SIDE)
    for part in (
        "operator CumSum",
        "more than the",
        "axis of type INT32",
        "double of type DOUBLE",
        "'/home/', which names a path",
    ):
        assert part in str(caught.value)


def test_external_data_is_refused(exported: dict[str, bytes]) -> None:
    model = onnx.load_model_from_string(exported["identity"])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    with pytest.raises(ExportError, match="exported ONNX file"):
        check_onnx(model.SerializeToString(), UNetWaveletConfig(base=8, levels=2), "identity", "two_pass", SIDE)
