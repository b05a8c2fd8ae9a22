"""`fundusrt.load` gives exactly what was asked for, or an error that says why not."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fundusrt
from fundusrt import BackendUnavailable, BundleError, InvalidInput
from fundusrt._tiny_onnx import pixel_classifier
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.golden import check_preprocessing
from fundusrt.loading import installed_versions
from fundusrt.testing import tiny_image
from tests.sdk.bundle_attacks import pack, reseal


def test_folder_and_zip_give_the_same_result(tiny: Path, tmp_path: Path) -> None:
    archive = pack(tiny, tmp_path / "tiny.frt")
    results = []
    for model in (tiny, str(tiny), archive):
        with fundusrt.load(model, threads=1) as pipeline:
            results.append(pipeline(tiny_image()))
    for result in results[1:]:
        np.testing.assert_array_equal(result.probability, results[0].probability)
        assert result.provenance.bundle_sha256 == results[0].provenance.bundle_sha256


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (
            {"backend": "tvm"},
            BackendUnavailable,
            "backend: got 'tvm'; expected one of onnxruntime, openvino, tensorrt, tensorrt-rtx, tensorrt-lean, ",
        ),
        (
            {"precision": "fp16"},
            BackendUnavailable,
            "got onnxruntime/fp16; expected one of onnxruntime/fp32; choose one",
        ),
        ({"threads": 0}, InvalidInput, "threads: got 0; expected a whole number from 1, or None for one per core"),
        ({"threads": -3}, InvalidInput, "threads: got -3"),
        ({"threads": "2"}, InvalidInput, "threads: got '2'; expected a whole number"),
        ({"threads": 1.5}, InvalidInput, r"threads: got 1\.5; expected a whole number"),
        ({"threads": True}, InvalidInput, "threads: got True; expected a whole number"),
        ({"threads": 100_000}, InvalidInput, "threads: got 100000; expected at most 1024"),
        ({"batch": 4, "threads": "tuned"}, InvalidInput, "batch: got 4 with threads='tuned'; expected None"),
        ({"batch": 0}, InvalidInput, "batch: got 0; expected a whole number from 1"),
        ({"lanes": 4}, InvalidInput, "lanes: got 4 with device 'cpu'; expected None"),
        ({"device": "cuda", "threads": 4}, InvalidInput, "threads: got 4 with device 'cuda'; expected None"),
        ({"device": "cuda", "batch": 0}, InvalidInput, "batch: got 0; expected a whole number from 1"),
        ({"device": "cuda", "lanes": 65}, InvalidInput, "lanes: got 65; expected at most 64"),
        ({"device": "mps"}, BackendUnavailable, "device: got 'mps' with backend 'onnxruntime'; expected 'cpu' or"),
        ({"backend": "tensorrt"}, BackendUnavailable, "device: got 'cpu' with backend 'tensorrt'; expected 'cuda'"),
    ],
)
def test_nothing_else_is_tried(tiny: Path, options: dict[str, Any], kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        fundusrt.load(tiny, **options)


@pytest.mark.parametrize("model", [None, 3, b"leakage"])
def test_a_bundle_is_text_or_a_path(model: Any) -> None:
    with pytest.raises(InvalidInput, match=f"bundle: got {type(model).__name__}; expected a shipped name"):
        fundusrt.load(model)


def test_an_unknown_backend_is_refused_before_the_bundle_is_read(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="backend: got 'tvm'"):
        fundusrt.load(tmp_path / "absent", backend="tvm")


def test_onnxruntime_is_not_installed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = (
        r"backend 'onnxruntime': got import failed .*; expected the onnxruntime package; pip install \"fundusrt\[cpu\]"
    )
    with pytest.raises(BackendUnavailable, match=message):
        fundusrt.load(tiny)


# --- golden pre-processing


@pytest.mark.parametrize("stage", ["grid", "whole"])
def test_a_golden_array_that_is_made_otherwise_here(tiny_copy: Path, stage: str) -> None:
    path = tiny_copy / f"golden/{stage}.npz"
    array = np.load(path)["arr_0"]
    array[:2] += 2
    np.savez(path, array)
    reseal(tiny_copy)
    message = (
        f"golden pre-processing, {stage}: got .* % of the pixels off by more than 1 grey level; "
        "expected at most 0.1 %; use the package versions of the certificate"
    )
    with pytest.raises(BundleError, match=message):
        fundusrt.load(tiny_copy)


def test_one_grey_level_is_forgiven(tiny_copy: Path) -> None:
    path = tiny_copy / "golden/whole.npz"
    np.savez(path, np.load(path)["arr_0"] ^ np.uint8(1))
    reseal(tiny_copy)
    assert check_preprocessing(fundusrt.Bundle.open(tiny_copy)) == {"grid": 0.0, "whole": 0.0}


@pytest.mark.parametrize(
    "change", [lambda a: a[:-1], lambda a: a.astype(np.float32), lambda a: a[None], lambda a: "text"]
)
def test_a_golden_array_of_another_kind(tiny_copy: Path, change: Any) -> None:
    path = tiny_copy / "golden/grid.npz"
    np.savez(path, change(np.load(path)["arr_0"]))
    reseal(tiny_copy)
    with pytest.raises(BundleError, match=r"golden pre-processing, grid: got 100.000 % of the pixels off"):
        fundusrt.load(tiny_copy)


def test_a_golden_image_that_no_pipeline_would_take(tiny_copy: Path) -> None:
    (tiny_copy / "golden/image.png").write_bytes(cv2.imencode(".png", np.full((9, 9), 200, np.uint8))[1].tobytes())
    reseal(tiny_copy)
    with pytest.raises(
        BundleError, match=r"golden/image.png: got 9 x 9 px; expected at least 32 px on each side; export"
    ):
        fundusrt.load(tiny_copy)


# --- networks that are sealed correctly and still not what they should be


def put(folder: Path, content: bytes, file: str = "small.onnx") -> Path:
    (folder / file).write_bytes(content)
    reseal(folder)
    return folder


def network(element: int = TensorProto.FLOAT, op: str = "Sigmoid", shape: Any = ("n", 3, 64, 64)) -> bytes:
    """A network of one operator over three channels, then their mean, so that the output has one channel."""
    image = helper.make_tensor_value_info("image", element, shape)
    out = helper.make_tensor_value_info("probability", element, [shape[0], 1, 64, 64])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node(op, ["image"], ["each"]),
        helper.make_node("ReduceMean", ["each", "axes"], ["probability"], keepdims=1),
    ]
    graph = helper.make_graph(nodes, "g", [image], [out], [axes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def test_a_network_that_the_runtime_does_not_accept(tiny_copy: Path) -> None:
    broken = onnx.load_from_string(pixel_classifier(64, (1.0, 1.0, 1.0), 0.0))
    broken.graph.node[0].op_type = "NoSuchOperator"
    message = (
        "network 'small': got ONNX Runtime .*NoSuchOperator.*; expected a valid ONNX model; export the bundle again"
    )
    with pytest.raises(BundleError, match=message):
        fundusrt.load(put(tiny_copy, broken.SerializeToString()))


@pytest.mark.parametrize("content", [b"", b"\x08\x08"])
def test_an_empty_network(tiny_copy: Path, content: bytes) -> None:
    with pytest.raises(BundleError, match="network 'small': got ONNX Runtime"):
        fundusrt.load(put(tiny_copy, content))


def test_the_runtime_s_own_format_is_not_taken_for_onnx(tiny_copy: Path, tmp_path: Path) -> None:
    """Its external data would not be seen by the check of ONNX files."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession((tiny_copy / "small.onnx").read_bytes(), options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "model.ort").read_bytes()
    assert content[4:8] == b"ORTM"
    with pytest.raises(BundleError):
        fundusrt.load(put(tiny_copy, content))
    with pytest.raises(BundleError, match="expected a valid ONNX model"):
        OnnxRuntimeSession(content, source="small.onnx", threads=1)


def test_another_element_type(tiny_copy: Path) -> None:
    with pytest.raises(
        BundleError, match=r"network 'small', tensor image: got tensor\(double\); expected tensor\(float\)"
    ):
        fundusrt.load(put(tiny_copy, network(TensorProto.DOUBLE)))


def test_another_batch_size_than_the_manifest_says(tiny_copy: Path) -> None:
    message = (
        r"network 'small', input: got image \(2, 3, 64, 64\); expected image \('batch', 3, 64, 64\) as in the manifest"
    )
    with pytest.raises(BundleError, match=message):
        fundusrt.load(put(tiny_copy, network(shape=(2, 3, 64, 64))))


def test_free_dimensions_without_a_name(tiny_copy: Path) -> None:
    model = onnx.load_from_string(network())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].ClearField("dim_param")
    with fundusrt.load(put(tiny_copy, model.SerializeToString()), threads=1) as pipeline:
        assert pipeline(tiny_image()).mask.shape == (144, 208)


def test_a_network_that_fails_while_it_runs(tiny_copy: Path) -> None:
    model = onnx.load_from_string(pixel_classifier(64, (1.0, 1.0, 1.0), 0.0))
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [4], [1, 1, 5, 5]))
    model.graph.node[1].output[0] = "before"
    model.graph.node.append(helper.make_node("Reshape", ["before", "shape"], ["probability"]))
    for dimension in model.graph.output[0].type.tensor_type.shape.dim:
        dimension.Clear()
    manifest = put(tiny_copy, model.SerializeToString())
    session = OnnxRuntimeSession((manifest / "small.onnx").read_bytes(), source="small.onnx", threads=1)
    with pytest.raises(
        BackendUnavailable, match=r"small.onnx: got ONNX Runtime failed: .*; expected image .*; run `fundus"
    ):
        session.run({"image": np.zeros((1, 3, 64, 64), np.float32)})
    with pytest.raises(BackendUnavailable, match=r"small.onnx: got ONNX Runtime failed: "):
        session.run({"image": np.zeros((1, 1, 64, 64), np.float32)})
    session.close()
    with pytest.raises(BackendUnavailable, match=r"small.onnx: got a call after close\(\)"):
        session.run({"image": np.zeros((1, 3, 64, 64), np.float32)})


def test_a_network_that_answers_logits_is_refused_at_the_first_image(tiny_copy: Path) -> None:
    with (
        fundusrt.load(put(tiny_copy, network(op="Neg"))) as pipeline,
        pytest.raises(
            BackendUnavailable, match=r"network 'small' on onnxruntime.*: got values from .*; expected probabili"
        ),
    ):
        pipeline(tiny_image())


def test_a_copy_elsewhere_is_the_same_bundle(tiny: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(tiny, tmp_path / "another name"))
    assert fundusrt.Bundle.open(moved).sha256 == fundusrt.Bundle.open(tiny).sha256


def test_installed_versions_name_what_can_change_a_result() -> None:
    versions = installed_versions()
    assert versions["fundusrt"] == fundusrt.__version__
    assert {"python", "numpy", "onnxruntime"} <= set(versions)
    assert any(name.startswith("opencv-python") for name in versions)
