"""Files to a complete bundle whose networks judge single pixels: what the tiny bundles of all systems share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.manifest import BundleManifest
from fundusrt.png import encode_png
from fundusrt.testing.seal import seal_bundle

__all__ = ["IDENTITY", "bright_judge", "tiny_fields", "tiny_network", "write_bundle"]

Batch = npt.NDArray[np.float32]

IDENTITY: dict[str, Any] = {
    "bundle": "tiny",
    "bundle_version": "0",
    "bundle_sha256": "0" * 64,
    "backend": "fake",
    "provider": "fake",
    "device": "cpu",
    "precision": "fp32",
    "versions": {},
}


def bright_judge(slope: float, bias: float) -> Callable[[Batch], Batch]:
    """Return the network of `pixel_classifier` in NumPy, all channels weighed alike: sigmoid(slope * mean + bias)."""

    def judge(batch: Batch) -> Batch:
        score = batch.mean(axis=1, keepdims=True, dtype=np.float64) * slope + bias
        return (1.0 / (1.0 + np.exp(-score))).astype(np.float32)

    return judge


def tiny_network(
    role: str, file: str, image: tuple[int, int, int], name: str, answer: tuple[int, int, int]
) -> dict[str, Any]:
    """Return the fields of a `NetworkSpec`; shapes without the batch."""
    return {
        "role": role,
        "input": {"name": "image", "dtype": "float32", "shape": ("batch", *image)},
        "output": {"name": name, "dtype": "float32", "shape": ("batch", *answer)},
        "variants": ({"file": file},),
    }


def tiny_fields(
    system: str, description: str, networks: Mapping[str, dict[str, Any]], golden: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields that every manifest has, with hashes of nothing.

    Args:
        system: as in the manifest.
        description: one sentence.
        networks: from `tiny_network`, by name.
        golden: file ending of each golden stage.
    """
    stages = {stage: f"golden/{stage}.{ending}" for stage, ending in golden.items()}
    onnx = [network["variants"][0]["file"] for network in networks.values()]
    files = (*onnx, *stages.values(), "certificate.json", "MODEL_CARD.md")
    return {
        "name": "tiny",
        "version": "1.0.0",
        "system": system,
        "description": description,
        "intended_use": "Tests of software. Not trained, not for any other use.",
        "networks": dict(networks),
        "golden": stages,
        "files": {name: {"sha256": "0" * 64, "bytes": 0} for name in files},
    }


def write_bundle(
    folder: str | Path,
    manifest: BundleManifest,
    networks: Mapping[str, bytes],
    arrays: Mapping[str, npt.NDArray[Any]],
    pictures: Mapping[str, npt.NDArray[np.uint8]],
) -> Path:
    """Write every file of a bundle and seal it.

    Args:
        folder: made if it does not exist.
        manifest: names the files.
        networks: ONNX files by name.
        arrays: golden arrays by name.
        pictures: golden pictures by name, (H, W) or (H, W, 3) RGB.

    Returns:
        The folder.
    """
    folder = Path(folder)
    (folder / "golden").mkdir(parents=True, exist_ok=True)
    for name, content in networks.items():
        (folder / name).write_bytes(content)
    (folder / manifest.model_card).write_text("# tiny\n\nFor tests of software. Not trained, not for any other use.\n")
    for name, array in arrays.items():
        np.savez_compressed(folder / name, array)
    for name, picture in pictures.items():
        (folder / name).write_bytes(encode_png(picture))
    seal_bundle(folder, manifest.model_dump(mode="json"))
    return folder
