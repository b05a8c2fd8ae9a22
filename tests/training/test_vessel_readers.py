"""Vessel data sets in the layouts they are distributed in, built small; damage and strangers are named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fundusrt.errors import InvalidInput
from fundusrt_training.data.folder import read_mask
from fundusrt_training.data.vessels import read_drive, read_hrf, read_vessels
from tests.training.synthetic_eye import draw_eye, save_eye


def field(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_eye(0)[0].any(axis=2).astype(np.uint8) * 255).save(path)


def hrf(root: Path) -> Path:
    for seed, name in enumerate(("09_h", "10_dr")):
        save_eye(seed, root / "images" / f"{name}.jpg", root / "manual1" / f"{name}.tif")
        field(root / "mask" / f"{name}_mask.tif")
    return root


def repackaged(root: Path) -> Path:
    for seed, name in enumerate(("09_h", "10_dr")):
        save_eye(seed, root / "images" / f"{name}.JPG", root / "vessel" / f"{name}_vessel.png")
        field(root / "fov" / f"{name}_mask.png")
    return root


def drive(root: Path) -> Path:
    for part, numbers in (("training", (21, 22)), ("test", (1,))):
        for number in numbers:
            name, base = f"{number:02}_{part}", root / part
            save_eye(number, base / "images" / f"{name}.tif", base / "1st_manual" / f"{number:02}_manual1.gif")
            field(base / "mask" / f"{name}_mask.gif")
    return root


def plain(root: Path) -> Path:
    save_eye(0, root / "images" / "a.png", root / "masks" / "a.png")
    return root


@pytest.mark.parametrize(
    ("make", "names", "seeds"),
    [
        (hrf, ["09_h", "10_dr"], (0, 1)),
        (repackaged, ["09_h", "10_dr"], (0, 1)),
        (drive, ["21_training", "22_training"], (21, 22)),
        (plain, ["a"], (0,)),
    ],
)
def test_each_layout_is_recognised(
    tmp_path: Path, make: Callable[[Path], Path], names: list[str], seeds: tuple[int, ...]
) -> None:
    found = read_vessels(make(tmp_path))
    assert [each.name for each in found] == names
    for each, seed in zip(found, seeds, strict=True):
        assert isinstance(each.vessels, Path)
        np.testing.assert_array_equal(read_mask(each.vessels, (150, 180)), draw_eye(seed)[1])
        assert each.image.is_file()
        if make is plain:
            assert each.fov is None
        else:
            assert isinstance(each.fov, Path)
            assert read_mask(each.fov, (150, 180)).any()


def test_parts(tmp_path: Path) -> None:
    assert [each.name for each in read_vessels(drive(tmp_path / "a"), "test")] == ["01_test"]
    assert [each.name for each in read_drive(tmp_path / "a" / "test")] == ["01_test"]
    hrf(tmp_path / "b" / "train")
    plain(tmp_path / "b" / "test")
    assert [each.name for each in read_vessels(tmp_path / "b")] == ["09_h", "10_dr"]
    assert [each.name for each in read_vessels(tmp_path / "b", "test")] == ["a"]


def test_a_folder_that_fits_nothing_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InvalidInput, match=r"got pictures; expected one of .*DRIVE.*HRF.*plain folders"):
        read_vessels(tmp_path)
    with pytest.raises(InvalidInput, match="got nothing there"):
        read_vessels(tmp_path / "absent")


def test_a_folder_that_fits_twice_is_not_guessed(tmp_path: Path) -> None:
    plain(hrf(tmp_path))
    with pytest.raises(InvalidInput, match=re.escape("(HRF) and `images/` with `masks/`")):
        read_vessels(tmp_path)


@pytest.mark.parametrize(
    ("make", "removed", "text"),
    [
        (hrf, "manual1/10_dr.tif", "manual1: got nothing for 1 of 2 images, first 10_dr; expected 10_dr with one of"),
        (hrf, "mask/09_h_mask.tif", "first 09_h; expected 09_h_mask with one of"),
        (repackaged, "vessel/09_h_vessel.png", "expected 09_h_vessel with one of"),
        (drive, "training/1st_manual/22_manual1.gif", "got nothing for 22_training.tif; expected 22_manual1.gif"),
        (drive, "training/mask/21_training_mask.gif", "expected 21_training_mask.gif"),
        (plain, "masks/a.png", "expected files with .png"),
    ],
)
def test_damage_is_named(tmp_path: Path, make: Callable[[Path], Path], removed: str, text: str) -> None:
    (make(tmp_path) / removed).unlink()
    with pytest.raises(InvalidInput, match=re.escape(text)):
        read_vessels(tmp_path)


def test_a_part_that_is_absent(tmp_path: Path) -> None:
    shutil.rmtree(drive(tmp_path) / "test")
    with pytest.raises(InvalidInput, match=r"test/images: got no folder"):
        read_vessels(tmp_path, "test")


def test_the_real_data_sets(data_folder: Path) -> None:
    for name, reader, count in (("hrf", read_hrf, 12), ("drive", read_drive, 20)):
        if not (data_folder / name).is_dir():
            pytest.skip(f"no {data_folder / name}")
        found = reader(data_folder / name)
        assert len(found) == count
        first = found[0]
        assert isinstance(first.vessels, Path)
        assert isinstance(first.fov, Path)
        vessels, fov = read_mask(first.vessels), read_mask(first.fov)
        assert vessels.shape == fov.shape
        assert 0.05 < vessels[fov].mean() < 0.2
