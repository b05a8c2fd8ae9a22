"""The square frame around the field of view: geometry, and arrays that are made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fundusrt.errors import InvalidInput, OutputError
from fundusrt_training.data.cached_array import cached_array
from fundusrt_training.data.field_frame import FieldFrame
from fundusrt_training.data.framed_eye import EyeFiles, frame_eye, frame_eyes
from tests.training.synthetic_eye import draw_eye, save_eye


def field(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    fov = np.zeros((height, width), bool)
    fov[rows, columns] = True
    return fov


@pytest.mark.parametrize(
    ("fov", "expected"),
    [
        (field(40, 60, slice(5, 25), slice(10, 30)), FieldFrame(5, 10, 20)),
        (field(40, 60, slice(0, 40), slice(5, 55)), FieldFrame(-5, 5, 50)),  # cut off above and below
        (field(40, 60, slice(10, 31), slice(0, 60)), FieldFrame(-9, 0, 60)),  # the odd row goes below
        (field(60, 40, slice(0, 60), slice(30, 40)), FieldFrame(0, 5, 60)),
    ],
)
def test_the_frame_is_the_smallest_square_with_the_field_in_the_middle(fov: np.ndarray, expected: FieldFrame) -> None:
    frame = FieldFrame.around(fov, "eye")
    assert frame == expected
    array = np.arange(fov.size).reshape(fov.shape) + 1
    cut = frame.cut(array)
    assert cut.shape == (frame.length, frame.length)
    y, x = np.argwhere(fov)[7]
    assert cut[y - frame.y0, x - frame.x0] == array[y, x]
    outside = np.ones(cut.shape, bool)
    top, left = max(0, -frame.y0), max(0, -frame.x0)
    outside[top : top + fov.shape[0] - max(0, frame.y0), left : left + fov.shape[1] - max(0, frame.x0)] = False
    assert not cut[outside].any()
    assert cut[~outside].all()
    assert frame.cut(np.dstack((array, array))).shape == (frame.length, frame.length, 2)


def test_shrinking_is_the_mean_of_areas() -> None:
    frame = FieldFrame(0, 0, 4)
    array = np.arange(16, dtype=np.uint8).reshape(4, 4) * 4
    np.testing.assert_array_equal(frame.resized(array, 2), [[10, 18], [42, 50]])
    assert frame.resized(array, 8).shape == (8, 8)


def test_no_field_no_frame() -> None:
    with pytest.raises(InvalidInput, match=r"eye\.png: got no field of view; expected a photograph of an eye"):
        FieldFrame.around(np.zeros((20, 20), bool), "eye.png")


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
