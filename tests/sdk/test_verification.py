"""Golden vectors on this machine: each rung fails for its own reason and for no other."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fundusrt import BackendUnavailable, BundleError
from fundusrt._tiny_onnx import pixel_classifier
from fundusrt.verification import verify_bundle
from tests.sdk.bundle_attacks import reseal


def failed(folder: Path) -> list[str]:
    return [rung.name for rung in verify_bundle(str(folder)) if not rung.holds]


def test_an_honest_bundle_holds(tiny: Path) -> None:
    rungs = verify_bundle(str(tiny))
    assert [rung.name for rung in rungs] == ["preprocessing", "network-large", "network-small", "mask"]
    assert all(rung.holds for rung in rungs)
    assert all(list(rung.inputs) == ["golden/image.png"] for rung in rungs)


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
