"""A branch with free height and width: right at other sizes, no shape computed, other systems refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.errors import UsageError
from fundusrt_export import any_size
from fundusrt_export.any_size import export_any_size
from fundusrt_export.branch import DeployedBranch
from fundusrt_export.errors import ExportError, RewriteDeclined
from fundusrt_export.package import export_bundle
from fundusrt_export.passes import graph_statistics
from tests.export import small_enhancement, small_exudate
from tests.export.small_system import INFO, checkpoint, network

LIMIT = 1e-4


@pytest.fixture(scope="module")
def content() -> bytes:
    return export_any_size(network())


@pytest.mark.parametrize("size", [(12, 20), (64, 36), (96, 96)])
def test_equal_to_pytorch(content: bytes, size: tuple[int, int]) -> None:
    feed = np.random.default_rng(0).random((3, 3, *size), np.float32)
    made = OnnxRuntimeSession(content, source="any size", threads=1).run({"image": feed})["probability"]
    with torch.no_grad():
        expected = DeployedBranch(network())(torch.from_numpy(feed)).numpy()
    assert made.shape == (3, 1, *size)
    assert np.ptp(expected) > 0.5
    assert np.abs(made - expected).max() <= LIMIT


def test_nothing_about_a_shape_is_computed(content: bytes) -> None:
    operators = graph_statistics(content).operators
    assert not {"Shape", "Gather", "Slice", "Concat", "ConvTranspose"} & set(operators)
    (image,) = onnx.load_from_string(content).graph.input
    assert [size.dim_param or size.dim_value for size in image.type.tensor_type.shape.dim] == [
        "batch", 3, "height", "width",
    ]  # fmt: skip


def test_an_export_that_differs_at_a_size_is_refused(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: a weight of the graph is another."""
    model = onnx.load_model_from_string(content)
    head = next(each for each in model.graph.initializer if each.name == "head.weight")
    head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) * np.float32(1.01), head.name))
    monkeypatch.setattr(any_size, "to_onnx", lambda *_, **__: model.SerializeToString())
    with pytest.raises(ExportError, match=r"any size, 8 x 12 px: got max \|difference\| .*; expected at most 0.0001"):
        export_any_size(network())


def test_another_wavelet_is_declined() -> None:
    with pytest.raises(RewriteDeclined, match="haar identity"):
        export_any_size(network(wave="db2"))


def test_systems_that_cannot_are_named(tmp_path: Path) -> None:
    cases = {
        "SsMaf": small_exudate.checkpoint(tmp_path / "exudate.safetensors"),
        "MageNet": small_enhancement.checkpoint(tmp_path / "enhancement.safetensors"),
    }
    for name, path in cases.items():
        message = (
            f"--dynamic-size: got {name}.*; expected CMWNet in the identity form; leave it out: its network sees one"
        )
        with pytest.raises(UsageError, match=message):
            export_bundle(path, tmp_path / "out", info=INFO, any_size=True)
    path = checkpoint(tmp_path / "leakage.safetensors")
    with pytest.raises(
        UsageError, match=r"got Cmwnet, form 'convolution'; .*: other forms compute with the image's shape"
    ):
        export_bundle(path, tmp_path / "out", info=INFO, form="convolution", any_size=True)
