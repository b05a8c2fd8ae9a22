"""For tests of code that uses FundusRT: compare maps, and make bundles and pipelines without a trained network.

Nothing here is measured or trained. The bundles are complete and valid in form, so that every check of the SDK can be
tried on them, and their certificate says that its figures are invented.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt._tiny_onnx import pixel_classifier
from fundusrt.backends.fake import FakeSession
from fundusrt.bundle import MANIFEST_FILE
from fundusrt.certificate import REQUIRED_RUNGS, Certificate, Measurement, Rung
from fundusrt.image import from_array
from fundusrt.manifest import FileRecord, Manifest, PostprocessSpec, PreprocessSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole

__all__ = [
    "assert_maps_close",
    "fake_pipeline",
    "seal_bundle",
    "tiny_bundle",
    "tiny_image",
    "tiny_manifest",
]

Array = npt.NDArray[Any]
Batch = npt.NDArray[np.float32]

# Slope and bias on the mean of the channels: the whole-image network is unsure, the tile network sharp and stricter.
_LARGE = (12.0, -7.2)
_SMALL = (40.0, -28.0)
_IDENTITY: dict[str, Any] = {
    "bundle": "tiny",
    "bundle_version": "0",
    "bundle_sha256": "0" * 64,
    "backend": "fake",
    "provider": "fake",
    "device": "cpu",
    "precision": "fp32",
    "versions": {},
}


def assert_maps_close(actual: Mapping[str, Array], expected: Mapping[str, Array], *, max_abs: float = 0.0) -> None:
    """Compare named arrays and report every difference at once.

    Args:
        actual: arrays by name.
        expected: arrays by name.
        max_abs: largest allowed absolute difference of one element; 0 for equal.

    Raises:
        AssertionError: a name is missing or too many, or an array differs in shape, dtype or value. NaN and infinity
            always differ, even from themselves.
    """
    problems = [f"{name}: missing" for name in expected if name not in actual]
    problems += [f"{name}: not expected" for name in actual if name not in expected]
    for name in expected:
        if name in actual:
            problems += [f"{name}: {text}" for text in _differences(actual[name], expected[name], max_abs)]
    if problems:
        raise AssertionError("\n".join(problems))


def _differences(actual: Array, expected: Array, max_abs: float) -> list[str]:
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return [f"got {actual.shape} {actual.dtype}, expected {expected.shape} {expected.dtype}"]
    problems = [
        f"{np.count_nonzero(~np.isfinite(array))} values of the {which} array are NaN or infinite"
        for which, array in (("actual", actual), ("expected", expected))
        if not np.isfinite(array).all()
    ]
    with np.errstate(invalid="ignore"):
        difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    off = difference > max_abs
    if off.any():
        worst = tuple(int(i) for i in np.unravel_index(int(np.nanargmax(difference)), difference.shape))
        problems.append(
            f"{np.count_nonzero(off)} of {off.size} values differ by more than {max_abs:g}; the most at {worst}: "
            f"got {actual[worst]}, expected {expected[worst]}, difference {difference[worst]:.6g}"
        )
    return problems


def tiny_image(height: int = 144, width: int = 208) -> npt.NDArray[np.uint8]:
    """Return an (H, W) uint8 picture: a bright disc in black surround, a smooth background, and four bright spots."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    radius = 0.46 * min(height, width)
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    inside = np.hypot(y - centre_y, x - centre_x) <= radius
    levels = 70.0 + 25.0 * np.cos(y / 9.0) * np.sin(x / 11.0)
    for row, column, spread in ((-0.4, -0.3, 0.10), (0.3, 0.2, 0.16), (-0.1, 0.5, 0.06), (0.5, -0.4, 0.08)):
        distance = np.hypot(y - centre_y - row * radius, x - centre_x - column * radius)
        levels += 150.0 * np.exp(-((distance / (spread * radius)) ** 2))
    return np.where(inside, np.clip(levels, 0.0, 255.0), 0.0).astype(np.uint8)


def tiny_manifest(
    *,
    tile_px: int = 512,
    whole_px: int = 512,
    preprocess: PreprocessSpec | None = None,
    postprocess: PostprocessSpec | None = None,
) -> Manifest:
    """Return the manifest of `tiny_bundle` with hashes of nothing; `seal_bundle` puts in the real ones."""
    preprocess = preprocess or PreprocessSpec()

    def network(role: str, file: str, size_px: int) -> dict[str, Any]:
        shape = ("batch", preprocess.channels, size_px, size_px)
        return {
            "role": role,
            "input": {"name": "image", "dtype": "float32", "shape": shape},
            "output": {"name": "probability", "dtype": "float32", "shape": ("batch", 1, size_px, size_px)},
            "variants": ({"file": file},),
        }

    stages = {"image": "png", "grid": "npz", "whole": "npz", "large": "npz", "small": "npz", "mask": "png"}
    golden = {stage: f"golden/{stage}.{ending}" for stage, ending in stages.items()}
    files = ("large.onnx", "small.onnx", *golden.values(), "certificate.json", "MODEL_CARD.md")
    return Manifest.model_validate(
        {
            "name": "tiny",
            "version": "1.0.0",
            "system": "cmwnet",
            "label": "bright spots",
            "description": "Two networks of one pixel each, for tests.",
            "intended_use": "Tests of software. Not trained, not for any other use.",
            "preprocess": preprocess,
            "tile": {"size": tile_px},
            "whole_image": {"size": whole_px},
            "networks": {
                "large": network("whole_image", "large.onnx", whole_px),
                "small": network("tile", "small.onnx", tile_px),
            },
            "postprocess": postprocess or PostprocessSpec(),
            "golden": golden,
            "files": {name: FileRecord(sha256="0" * 64, bytes=0) for name in files},
        }
    )


def fake_pipeline(
    manifest: Manifest,
    large: Callable[[Batch], Batch] | None = None,
    small: Callable[[Batch], Batch] | None = None,
    *,
    batch: int = 1,
) -> SegmentationPipeline:
    """Return a pipeline whose networks are Python functions.

    Args:
        manifest: e.g. from `tiny_manifest`.
        large: (N, C, H, W) float32 to (N, 1, H, W) float32 in [0, 1]; None for the network of `tiny_bundle`.
        small: the same for the tile network.
        batch: tiles per network call.
    """
    specs = manifest.networks
    return SegmentationPipeline(
        manifest,
        FakeSession(large or _judge(*_LARGE), specs["large"].input, specs["large"].output),
        FakeSession(small or _judge(*_SMALL), specs["small"].input, specs["small"].output),
        dict(_IDENTITY),
        batch=batch,
    )


def tiny_bundle(
    folder: str | Path,
    *,
    tile_px: int = 512,
    whole_px: int = 512,
    preprocess: PreprocessSpec | None = None,
    postprocess: PostprocessSpec | None = None,
) -> Path:
    """Write a complete, valid bundle of a few kilobytes, with networks that mark bright pixels.

    Args:
        folder: made if it does not exist.
        tile_px: side of a tile; small ones make quick tests.
        whole_px: side of the whole-image branch's input.
        preprocess: default: the manifest's defaults.
        postprocess: default: the manifest's defaults.

    Returns:
        The folder: `fundusrt.load` takes it.
    """
    import cv2

    folder = Path(folder)
    (folder / "golden").mkdir(parents=True, exist_ok=True)
    manifest = tiny_manifest(tile_px=tile_px, whole_px=whole_px, preprocess=preprocess, postprocess=postprocess)
    channels = manifest.preprocess.channels
    for file, size_px, (slope, bias) in (("large.onnx", whole_px, _LARGE), ("small.onnx", tile_px, _SMALL)):
        (folder / file).write_bytes(pixel_classifier(size_px, [slope / channels] * channels, bias))
    (folder / manifest.model_card).write_text("# tiny\n\nFor tests of software. Not trained, not for any other use.\n")
    pixels = tiny_image()
    enhanced = enhance(from_array(pixels), manifest.preprocess)
    grid, whole = fit_to_grid(enhanced, manifest.tile), shrink_whole(enhanced, manifest.whole_image)
    pipeline = fake_pipeline(manifest)
    golden = manifest.golden
    for name, array in (
        (golden.grid, grid),
        (golden.whole, whole),
        (golden.large, pipeline.run_whole(whole)),
        (golden.small, pipeline.run_tiles(grid)),
    ):
        np.savez_compressed(folder / name, array)
    mask = pipeline(pixels).mask.astype(np.uint8) * np.uint8(255)
    for name, image in ((golden.image, pixels), (golden.mask, mask)):
        (folder / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    seal_bundle(folder, manifest.model_dump(mode="json"))
    return folder


def seal_bundle(folder: str | Path, content: Mapping[str, Any]) -> Manifest:
    """Write `bundle.json` and a certificate that fit the files in a folder, whatever those hold.

    The figures of the certificate are invented: this makes test cases, the export makes bundles.

    Args:
        folder: holds every file of the bundle; hashes are taken from it.
        content: the fields of `bundle.json`; `files` is replaced.

    Returns:
        The manifest as written.
    """
    folder = Path(folder)
    named = Manifest.model_validate(content).certificate

    def records() -> dict[str, dict[str, Any]]:
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST_FILE)
        read = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in read.items()}

    (folder / named).touch()
    manifest = Manifest.model_validate({**content, "files": records()})
    figure = Measurement(metric="max abs difference", value=0.0, limit=1e-4, bound="at_most")
    certificate = Certificate(
        bundle=manifest.name,
        manifest_sha256=manifest.content_sha256(),
        files={name: record.sha256 for name, record in manifest.files.items() if name.endswith(".onnx")},
        rungs=tuple(
            Rung(name=name, compares="nothing: invented for a test", inputs={}, measurements=(figure,))
            for name in REQUIRED_RUNGS
        ),
        environment={"made by": "fundusrt.testing; nothing was measured"},
    )
    (folder / named).write_text(certificate.model_dump_json(indent=2) + "\n")
    manifest = Manifest.model_validate({**content, "files": records()})
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n")
    return manifest


def _judge(slope: float, bias: float) -> Callable[[Batch], Batch]:
    """The network of `pixel_classifier` in NumPy."""

    def judge(batch: Batch) -> Batch:
        score = batch.mean(axis=1, keepdims=True, dtype=np.float64) * slope + bias
        return (1.0 / (1.0 + np.exp(-score))).astype(np.float32)

    return judge
