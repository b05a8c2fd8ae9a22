"""Golden vectors on this machine: each rung fails for its own reason and for no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fundusrt import BackendUnavailable, BundleError, load
from fundusrt._tiny_onnx import pixel_classifier
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.stitching import Stitcher
from fundusrt.verification import verify_bundle, verify_other_runtimes
from tests.sdk.bundle_attacks import reseal


def failed(folder: Path) -> list[str]:
    return [rung.name for rung in verify_bundle(str(folder)) if not rung.holds]


def test_an_honest_bundle_holds(tiny: Path) -> None:
    rungs = verify_bundle(str(tiny))
    assert [rung.name for rung in rungs] == [
        "preprocessing",
        "network-large",
        "network-small",
        "stitched",
        "cgnr",
        "mask",
    ]
    assert all(rung.holds for rung in rungs)
    assert all(list(rung.inputs) == ["golden/image.png"] for rung in rungs)
    assert all(len(rung.measurements) == len(rung.certified) for rung in rungs)


def test_preprocessing_that_differs_ends_the_ladder(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fundusrt.preprocess.gamma_table", lambda gamma: np.arange(256, dtype=np.uint8))
    (rung,) = verify_bundle(str(tiny))
    assert rung.name == "preprocessing"
    assert [measurement.holds for measurement in rung.measurements] == [False, False]
    with pytest.raises(BundleError, match="golden pre-processing, grid"):
        load(tiny)


def test_a_stitcher_that_displaces_tiles(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Stitcher.add
    monkeypatch.setattr(Stitcher, "add", lambda self, tile, values: add(self, tile, np.roll(values, 1, axis=0)))
    assert failed(tiny)[:2] == ["network-small", "stitched"]


def test_a_refinement_that_differs(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fundusrt.cgnr_definition.cgnr", lambda base, guide, mode: base | guide)
    assert failed(tiny) == ["cgnr"]


# --- other runtimes


def with_another_runtime(folder: Path) -> None:
    content = json.loads((folder / "bundle.json").read_text())
    for network in content["networks"].values():
        (variant,) = network["variants"]
        network["variants"] = [variant, {**variant, "target": "openvino"}]
    reseal(folder, networks=content["networks"])


def test_a_runtime_that_this_version_lacks_is_named(tiny_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_another_runtime(tiny_copy)
    monkeypatch.setattr("fundusrt.verification.BACKENDS", ("onnxruntime",))
    others = verify_other_runtimes(str(tiny_copy))
    assert others.rungs == []
    assert others.not_measured == {"openvino": "this version has no such backend"}


@pytest.mark.parametrize("change", [0.0, 3e-4])
def test_another_runtime_climbs_the_same_ladder(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch, change: float
) -> None:
    with_another_runtime(tiny_copy)

    class Other(OnnxRuntimeSession):
        def run(self, feeds: Any) -> Any:
            return {name: np.abs(values - np.float32(change)) for name, values in super().run(feeds).items()}

    def open_other(backend: str, device: str, model: bytes, *, source: str, threads: int | None) -> Any:
        kind = Other if backend == "openvino" else OnnxRuntimeSession
        return kind(model, source=source, threads=threads)

    for module in ("loading", "verification"):
        monkeypatch.setattr(f"fundusrt.{module}.BACKENDS", ("onnxruntime", "openvino"), raising=False)
    monkeypatch.setattr("fundusrt.loading.require_backend", lambda backend, device: None)
    monkeypatch.setattr("fundusrt.loading.open_session", open_other)
    assert failed(tiny_copy) == []
    others = verify_other_runtimes(str(tiny_copy))
    assert others.not_measured == {}
    assert len(others.rungs) == 5
    red = [rung.name for rung in others.rungs if not rung.holds]
    assert red[:2] == (["openvino: network-large", "openvino: network-small"] if change else [])


@pytest.mark.parametrize("role", ["large", "small"])
@pytest.mark.parametrize(
    "change",
    [
        lambda p: p + np.float32(2e-4) * np.eye(*p.shape, dtype=np.float32),
        lambda p: np.where(np.eye(*p.shape, dtype=bool), np.nan, p).astype(np.float32),
        lambda p: p[:-1],
        lambda p: p.astype(np.float64),
        lambda p: np.full(p.shape, "x"),
    ],
)
def test_a_map_that_differs(tiny_copy: Path, role: str, change) -> None:
    path = tiny_copy / f"golden/{role}.npz"
    np.savez(path, change(np.load(path)["arr_0"]))
    reseal(tiny_copy)
    assert failed(tiny_copy) == [f"network-{role}"]


def test_another_network(tiny_copy: Path) -> None:
    (tiny_copy / "small.onnx").write_bytes(pixel_classifier(64, (20.0, 0.0, 0.0), -8.0))
    reseal(tiny_copy)
    assert failed(tiny_copy) == ["network-small", "mask"]


def test_a_mask_that_differs(tiny_copy: Path) -> None:
    path = tiny_copy / "golden/mask.png"
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    mask[40:60, 90:110] ^= 255
    path.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    reseal(tiny_copy)
    assert failed(tiny_copy) == ["mask"]
    path.write_bytes(cv2.imencode(".png", mask[:-1])[1].tobytes())
    reseal(tiny_copy)
    assert failed(tiny_copy) == ["mask"]


def test_other_post_processing_than_certified(tiny_copy: Path) -> None:
    reseal(tiny_copy, postprocess__threshold=0.9)
    assert failed(tiny_copy) == ["mask"]


def test_refusals(tiny_copy: Path) -> None:
    with pytest.raises(BackendUnavailable, match="fp16"):
        verify_bundle(str(tiny_copy), precision="fp16")
    (tiny_copy / "small.onnx").unlink()
    with pytest.raises(BundleError, match=r"small.onnx: got no such file"):
        verify_bundle(str(tiny_copy))
