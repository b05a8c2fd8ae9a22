"""The square frame around the field of view: geometry, and arrays that are made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fundusrt.errors import InvalidInput, OutputError
from fundusrt.frame_pipeline import cut_frame
from fundusrt.image import from_array
from fundusrt.manifest import FrameSpec
from fundusrt.testing import tiny_enhancement_manifest
from fundusrt_training.data.cached_array import cached_array
from fundusrt_training.data.degradation.square import square_eye
from fundusrt_training.data.framed_eye import EyeFiles, frame_eye, frame_eyes
from tests.training.synthetic_eye import draw_eye, save_eye


@pytest.mark.parametrize("side", [96, 200])
def test_training_sees_what_is_deployed(side: int) -> None:
    eye = from_array(draw_eye(0)[0])
    pixels, fov = square_eye(eye, side)
    spec = FrameSpec(height_px=side, width_px=side)
    _, deployed = cut_frame(eye, tiny_enhancement_manifest(frame=spec))
    np.testing.assert_array_equal(pixels, deployed)
    assert not pixels[~fov].any()
    grey, _ = square_eye(from_array(np.ascontiguousarray(draw_eye(0)[0][..., 1])), side)
    assert (grey == grey[..., :1]).all()


def test_no_field_no_frame() -> None:
    with pytest.raises(InvalidInput, match="got no field of view; expected an image of an eye"):
        square_eye(from_array(np.zeros((40, 40, 3), np.uint8)), 96)


def test_planes(tmp_path: Path) -> None:
    save_eye(0, tmp_path / "eye.png", tmp_path / "vessels.png")
    pixels, fov, vessels = frame_eye(EyeFiles("a", tmp_path / "eye.png", tmp_path / "vessels.png"), 96, tmp_path).read()
    assert (pixels.shape, pixels.dtype) == ((96, 96, 3), np.uint8)
    assert isinstance(vessels, np.ndarray)
    assert not pixels[~fov].any()
    assert fov.mean() == pytest.approx(np.pi / 4, abs=0.05)
    _, marked = draw_eye(0)
    assert vessels.mean() / 255 == pytest.approx(marked.sum() / 138**2, rel=0.05)  # 2 x 0.46 x 150 px across
    green = pixels[..., 1].astype(float)
    assert green[(vessels > 200) & fov].mean() < 0.75 * green[(vessels == 0) & fov].mean()
    alone = frame_eye(EyeFiles("a", tmp_path / "eye.png"), 96, tmp_path)
    assert alone.read()[2] is None
    np.testing.assert_array_equal(alone.read()[0], pixels)


def test_a_field_of_view_that_is_given_is_used(tmp_path: Path) -> None:
    save_eye(0, tmp_path / "eye.png")
    fov = np.zeros((150, 180), np.uint8)
    fov[40:100, 60:120] = 255
    Image.fromarray(fov).save(tmp_path / "fov.png")
    eye = frame_eye(EyeFiles("a", tmp_path / "eye.png", fov=tmp_path / "fov.png"), 60, tmp_path)
    pixels, found, _ = eye.read()
    assert found.all()
    np.testing.assert_array_equal(pixels, draw_eye(0)[0][40:100, 60:120])
    assert set(eye.sha256) == {"image", "fov"}


def test_a_frame_is_made_once_and_anew_for_other_content_or_size(tmp_path: Path) -> None:
    files = EyeFiles("a", tmp_path / "eye.png")
    save_eye(0, files.image)
    first = frame_eye(files, 96, tmp_path / "cache")
    stamp = first.file.stat().st_mtime_ns
    assert frame_eye(files, 96, tmp_path / "cache") == first
    assert first.file.stat().st_mtime_ns == stamp
    assert frame_eye(files, 112, tmp_path / "cache").file != first.file
    save_eye(1, files.image)
    again = frame_eye(files, 96, tmp_path / "cache")
    assert again.file != first.file
    assert not np.array_equal(again.read()[0], first.read()[0])
    told: list[tuple[int, int]] = []
    assert frame_eyes([files, files], 96, tmp_path / "cache", lambda *n: told.append(n)) == [again, again]
    assert told == [(1, 2), (2, 2)]


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    save_eye(0, tmp_path / "eye.png")
    save_eye(0, tmp_path / "other.png", tmp_path / "vessels.png", (150, 181))
    with pytest.raises(InvalidInput, match=r"vessels\.png: got 150 x 181 px; expected 150 x 180 px"):
        frame_eye(EyeFiles("a", tmp_path / "eye.png", tmp_path / "vessels.png"), 96, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(OutputError, match="expected a cache folder that can be written; choose another"):
        cached_array(tmp_path / "cache", {"a": 1}, lambda: np.zeros(3, np.uint8))
