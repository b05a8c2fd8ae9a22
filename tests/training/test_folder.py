"""The data folder reader: what it accepts, and what it says when it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fundusrt.errors import InvalidInput
from fundusrt_training.data.folder import read_folder, read_mask


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "data"))


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_cases_are_sorted_and_paired_by_stem(copy: Path) -> None:
    (copy / "images" / "notes.txt").write_text("not an image")
    (copy / "images" / "._eye0.png").write_text("left by a file manager")
    save(copy / "fov" / "eye1.png", np.full((70, 100), 255, np.uint8))
    cases = read_folder(copy)
    assert [case.name for case in cases] == ["eye0", "eye1", "eye2"]
    assert [case.fov is not None for case in cases] == [False, True, False]
    assert cases[2].mask == copy / "masks" / "eye2.png"


def test_absent_folders_say_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InvalidInput, match=r"images: got nothing; .* holds pictures; expected a folder; create "):
        read_folder(tmp_path)
    with pytest.raises(InvalidInput, match=r"got no folder .*absent either"):
        read_folder(tmp_path / "absent")


def test_empty_folders_say_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(InvalidInput, match=r"images: got an empty folder; expected files with \.png, \.jpg"):
        read_folder(tmp_path)
    (tmp_path / "images" / "scan.dcm").write_text("")
    with pytest.raises(InvalidInput, match=r"images: got scan\.dcm; expected files with"):
        read_folder(tmp_path)


def test_missing_masks_are_listed(copy: Path) -> None:
    (copy / "masks" / "eye0.png").unlink()
    (copy / "masks" / "eye2.png").unlink()
    with pytest.raises(
        InvalidInput, match=r"got no mask for 2 of 3 images: eye0, eye2; expected .*; add masks/eye0\.png"
    ):
        read_folder(copy)


def test_two_files_of_one_stem_are_refused(copy: Path) -> None:
    shutil.copy(copy / "images" / "eye0.png", copy / "images" / "eye0.tif")
    with pytest.raises(InvalidInput, match=r"got eye0\.png and eye0\.tif; expected one file per stem"):
        read_folder(copy)


@pytest.mark.parametrize("on", [1, 128, 255])
def test_masks_of_zero_and_one_other_value(tmp_path: Path, on: int) -> None:
    expected = np.zeros((40, 50), bool)
    expected[3:9, 4:20] = True
    path = save(tmp_path / "mask.png", expected.astype(np.uint8) * np.uint8(on))
    assert np.array_equal(read_mask(path, (40, 50)), expected)


def test_bilevel_equal_channels_and_uniform_masks(tmp_path: Path) -> None:
    mask = np.zeros((40, 50), bool)
    mask[5, 6] = True
    assert np.array_equal(read_mask(save(tmp_path / "bits.png", mask)), mask)
    assert np.array_equal(
        read_mask(save(tmp_path / "rgb.png", np.repeat(mask[..., None], 3, 2).astype(np.uint8) * 255)), mask
    )
    assert not read_mask(save(tmp_path / "none.png", np.zeros((4, 5), np.uint8))).any()
    assert read_mask(save(tmp_path / "all.png", np.full((4, 5), 255, np.uint8))).all()


def test_masks_that_are_not_two_valued_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "soft.png", np.array([[0, 128], [255, 0]], np.uint8))
    with pytest.raises(InvalidInput, match=r"soft\.png: got 3 values: 0, 128, 255; expected two values, 0 and 255"):
        read_mask(path)
    path = save(tmp_path / "colour.png", np.array([[[255, 0, 0]]], np.uint8))
    with pytest.raises(InvalidInput, match="got a coloured picture"):
        read_mask(path)


def test_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.png", np.zeros((40, 50), np.uint8))
    with pytest.raises(InvalidInput, match=r"mask\.png: got 40 x 50 px; expected 80 x 100 px, the size of its image"):
        read_mask(path, (80, 100))


def test_files_that_are_no_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_text("text")
    with pytest.raises(InvalidInput, match=r"mask\.png: got cannot identify"):
        read_mask(path)


def test_a_palette_mask_means_its_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 1]], np.uint8), mode="P")
    picture.putpalette([255, 255, 255, 0, 0, 0])  # index 0 is white
    picture.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == [[True, False], [False, False]]


def test_a_mask_too_large_to_open_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "mask.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InvalidInput, match="expected a readable image file"):
        read_mask(tmp_path / "mask.png")
