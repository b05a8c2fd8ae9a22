"""What is written to disk is what was found, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fundusrt import InvalidInput, OutputError, SegmentationResult, atomic
from fundusrt.image import FundusImage, from_array
from fundusrt.lesions import find_lesions
from fundusrt.testing import fake_pipeline, tiny_image, tiny_manifest
from tests.tolerances import PROBABILITY_PNG

KINDS = ("mask", "overlay", "probability", "result")


@pytest.fixture(scope="module")
def result() -> SegmentationResult:
    image = from_array(tiny_image(200, 260), source_id="eye.v2.jpg")
    return fake_pipeline(tiny_manifest(tile_px=64, whole_px=48))(image)


# --- files


def test_save_writes_four_files_that_hold_the_result(result: SegmentationResult, tmp_path: Path) -> None:
    written = result.save(tmp_path / "new" / "out")
    folder = tmp_path / "new" / "out"
    assert {kind: path.name for kind, path in written.items()} == {
        "mask": "eye.v2_mask.png",
        "overlay": "eye.v2_overlay.png",
        "probability": "eye.v2_probability.png",
        "result": "eye.v2_result.json",
    }
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in written.values())
    mask = cv2.imread(str(written["mask"]), cv2.IMREAD_UNCHANGED)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, result.mask.astype(np.uint8) * 255)
    probability = cv2.imread(str(written["probability"]), cv2.IMREAD_UNCHANGED)
    assert probability.dtype == np.uint16
    np.testing.assert_allclose(probability / 65535.0, result.probability, rtol=0, atol=PROBABILITY_PNG)
    overlay = cv2.imread(str(written["overlay"]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(overlay[..., ::-1], result.overlay())
    assert json.loads(written["result"].read_text()) == json.loads(json.dumps(result.to_dict()))


def test_the_json_is_complete_and_plain(result: SegmentationResult) -> None:
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert list(content) == [
        "format", "format_version", "quality", "area_px", "field_of_view_px", "area_fraction", "lesions", "timings_ms",
        "provenance",
    ]  # fmt: skip
    assert (content["format"], content["format_version"]) == ("fundusrt-segmentation", 1)
    assert content["quality"] == {"gradable": True, "reasons": []}
    assert len(content["lesions"]) == len(result.lesions) == 4
    assert set(content["lesions"][0]) == {"area_px", "area_mm2", "bbox", "centroid", "mean_probability"}
    assert content["provenance"]["source"] == "eye.v2.jpg"


def test_an_ungradable_result_is_saved_too(tmp_path: Path) -> None:
    black = fake_pipeline(tiny_manifest(tile_px=64, whole_px=48))(np.zeros((64, 80), np.uint8))
    written = black.save(tmp_path)
    assert written["mask"].name == "array_mask.png"
    content = json.loads(written["result"].read_text())
    assert content["quality"] == {"gradable": False, "reasons": ["no field of view found: the image is black"]}
    assert not cv2.imread(str(written["mask"]), cv2.IMREAD_UNCHANGED).any()


def test_saving_again_replaces(result: SegmentationResult, tmp_path: Path) -> None:
    result.save(tmp_path, "eye")
    empty = replace(result, mask=np.zeros_like(result.mask), lesions=[])
    empty.save(tmp_path, "eye")
    assert not cv2.imread(str(tmp_path / "eye_mask.png"), cv2.IMREAD_UNCHANGED).any()
    assert json.loads((tmp_path / "eye_result.json").read_text())["lesions"] == []
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc/x", "a\\b", "a\0b"])
def test_a_name_that_is_a_path(result: SegmentationResult, tmp_path: Path, name: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"result name: got .*; expected a plain file name; pass another name to save"
    ):
        result.save(tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "stem"), [("eye.png", "eye"), ("/data/eye.png", "eye"), ("a.tar.gz", "a.tar"), ("scan 3", "scan 3")]
)
def test_the_name_comes_from_the_source(result: SegmentationResult, tmp_path: Path, source: str, stem: str) -> None:
    other = replace(result, provenance=replace(result.provenance, source=source))
    assert other.save(tmp_path)["mask"].name == f"{stem}_mask.png"


def test_the_folder_is_a_file(result: SegmentationResult, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(
        OutputError, match="out: got File exists; expected a writable folder; choose another output folder"
    ):
        result.save(tmp_path / "out")
    with pytest.raises(OutputError, match="out/deeper: got Not a directory; expected a writable folder"):
        result.save(tmp_path / "out" / "deeper")


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_has_the_name_of_a_result(result: SegmentationResult, tmp_path: Path, kind: str) -> None:
    (tmp_path / f"eye_{kind}.{'json' if kind == 'result' else 'png'}").mkdir()
    with pytest.raises(OutputError, match=r"got Is a directory|got .*not permitted"):
        result.save(tmp_path, "eye")
    assert not [path for path in tmp_path.iterdir() if ".tmp" in path.name]


class FullDisk:
    """Lets some files be written, then is full: an error from the write or only from the fsync."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, allowed: int, call: str) -> None:
        self.left = allowed
        owner: Any = {"fsync": atomic.os, "open": Path}[call]
        real = getattr(owner, call)

        def fail(*args: Any, **kwargs: Any) -> Any:
            if call == "fsync" and not os.path.isfile(f"/proc/self/fd/{args[0]}"):
                return real(*args, **kwargs)  # the folder's entry
            if call == "open" and "b" not in (args[1] if len(args) > 1 else ""):
                return real(*args, **kwargs)
            if self.left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.left -= 1
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, call, fail)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells files from folders through /proc")
@pytest.mark.parametrize("call", ["fsync", "open"])
@pytest.mark.parametrize("allowed", range(4))
def test_a_disk_that_fills_up_leaves_whole_files_only(
    result: SegmentationResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int, call: str
) -> None:
    """Beside results of an earlier run: what could not be written keeps its old content, and no `_result.json` lies."""
    old = replace(result, mask=np.zeros_like(result.mask), lesions=[])
    before = {kind: path.read_bytes() for kind, path in old.save(tmp_path, "eye").items()}
    with monkeypatch.context() as patch:
        FullDisk(patch, allowed, call)
        with pytest.raises(
            OutputError, match=f"eye_{KINDS[allowed]}.*: got No space left on device; .*free some space"
        ):
            result.save(tmp_path, "eye")
    left = {path.stem.split("_")[1]: path.read_bytes() for path in tmp_path.iterdir()}
    new = {kind: path.read_bytes() for kind, path in result.save(tmp_path / "whole", "eye").items()}
    assert sorted(left) == ["mask", "overlay", "probability"]
    for place, kind in enumerate(KINDS[:3]):
        assert left[kind] == (new if place < allowed else before)[kind]


def test_a_read_only_folder(result: SegmentationResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(atomic.os, "open", refuse)
    with pytest.raises(OutputError, match=r"eye_mask.png: got Permission denied; .*; choose a folder you may write to"):
        result.save(tmp_path, "eye")
    assert list(tmp_path.iterdir()) == []


# --- overlay


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [False, True])
def test_the_overlay_changes_only_lesions_and_their_outline(dtype: Any, colour: bool) -> None:
    pixels = tiny_image(300, 400)
    pixels = pixels.astype(dtype) * dtype(257 if dtype is np.uint16 else 1)
    if colour:
        pixels = np.stack([pixels, pixels // 2, pixels // 3], axis=2)
    result = fake_pipeline(tiny_manifest(tile_px=64, whole_px=48))(pixels)
    assert result.mask.any()
    kept = result.image.pixels.copy()
    overlay = result.overlay()
    assert overlay.shape == (300, 400, 3)
    assert overlay.dtype == np.uint8
    assert overlay.flags.writeable
    plain = pixels if dtype is np.uint8 else (pixels >> 8).astype(np.uint8)
    plain = plain if colour else np.repeat(plain[..., None], 3, axis=2)
    far = cv2.dilate(result.mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    np.testing.assert_array_equal(overlay[far], plain[far])
    changed = (overlay != plain).any(axis=2)
    assert changed[result.mask].all()
    np.testing.assert_array_equal(result.image.pixels, kept)


def test_the_overlay_tints_the_inside_and_outlines_the_edge(result: SegmentationResult) -> None:
    overlay = result.overlay()
    inside = cv2.erode(result.mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    grey = np.asarray(result.image.pixels)[inside].astype(float)
    expected = 0.7 * grey[:, None] + 0.3 * np.array([255.0, 64.0, 64.0])
    np.testing.assert_allclose(overlay[inside], expected, rtol=0, atol=1.0)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edge = result.mask & (cv2.erode(result.mask.astype(np.uint8), cross) == 0)
    np.testing.assert_array_equal(np.unique(overlay[edge], axis=0), [[255, 64, 64]])


def test_an_overlay_without_lesions_is_the_image() -> None:
    black = fake_pipeline(tiny_manifest(tile_px=64, whole_px=48))(np.zeros((64, 80), np.uint8))
    assert not black.overlay().any()


def test_the_overlay_tints_a_lesion_inside_another_ones_box_once() -> None:
    pixels = np.full((300, 400), 100, np.uint8)
    mask = np.zeros((300, 400), bool)
    cv2.circle(mask.view(np.uint8), (200, 150), 80, 1, 20)
    mask[140:160, 190:210] = True
    eye = FundusImage(pixels, np.ones_like(mask), "eye")
    ring = replace(
        fake_pipeline(tiny_manifest())(pixels),
        mask=mask,
        lesions=find_lesions(mask, mask.astype(np.float32)),
        image=eye,
    )
    assert len(ring.lesions) == 2
    overlay = ring.overlay()
    assert np.array_equal(overlay[150, 200], overlay[150, 120])


def test_the_text_of_a_result_is_short(result: SegmentationResult) -> None:
    assert len(repr(result)) < 200
    assert "lesions" in repr(result)
