"""Exudate data sets in the layouts they are distributed in, built small; damage and strangers are named."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fundusrt.errors import InvalidInput
from fundusrt_training.data.exudates import (
    ExudateCase,
    read_eophtha,
    read_exudates,
    read_hei_med,
    read_idrid,
    read_lesion_folder,
)

SIZE = (20, 30)  # height, width


def photograph(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(path)


def lesion(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(SIZE) < 0.3


def annotation(path: Path, mask: np.ndarray, colour: tuple[int, int, int] = (255, 0, 0)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask[..., None] * np.array(colour, np.uint8)).save(path)


def idrid(root: Path) -> Path:
    base = root / "A. Segmentation"
    for part, numbers in (("a. Training Set", (1, 2, 3)), ("b. Testing Set", (55,))):
        for number in numbers:
            photograph(base / "1. Original Images" / part / f"IDRiD_{number:02}.jpg")
            if number != 3:
                truth = base / "2. All Segmentation Groundtruths" / part / "3. Hard Exudates"
                annotation(truth / f"IDRiD_{number:02}_EX.tif", lesion(number))
    return root


def eophtha(root: Path) -> Path:
    base = root / "e_optha_EX"
    for patient, name in (("E0000404", "C0001883"), ("E0000404", "C0001885"), ("E0000513", "C0001883")):
        photograph(base / "EX" / patient / f"{name}.jpg")
        annotation(base / "Annotation_EX" / patient / f"{name}_EX.png", lesion(int(name[-1])), (255, 255, 255))
    photograph(base / "healthy" / "E0000043" / "C0000887.jpg")
    return root


def hei_med(root: Path, version: bool = False) -> Path:
    base = root / "DMED"
    for stem in ("(00000003)", "(00000094)"):
        photograph(base / f"{stem}.jpg")
        photograph(base / f"{stem}_vess.png")
    labels = np.zeros(SIZE, "<i4")
    labels[2:5, 3:9], labels[10:12, 20:22], labels[15, 1:4] = 1, 2, 3
    header = np.array([4, SIZE[1], SIZE[0]], "<i4")
    (base / "(00000003).map.gz").write_bytes(gzip.compress(header.tobytes() + labels.tobytes()))
    text = ["3", "Exudate 1", "Drusen 1", "exudate 1", "0", "NA"]
    first = ["GNDVERSION2.0 (INCLUDES NOTES AT THE END OF THE FILE)"] if version else []
    (base / "(00000003).GND").write_text("\n".join([*first, *text]))
    return root


def lesion_folder(root: Path) -> Path:
    for name in ("a", "b"):
        photograph(root / "images" / f"{name}.png")
    annotation(root / "EX" / "a_EX.png", lesion(0), (255, 255, 255))
    return root


def plain_folder(root: Path) -> Path:
    photograph(root / "images" / "a.png")
    annotation(root / "masks" / "a.png", lesion(0), (255, 255, 255))
    return root


def masks(cases: list[ExudateCase]) -> dict[str, np.ndarray]:
    found = {case.name: case.mask() for case in cases}
    assert all(mask.dtype == np.bool_ and mask.shape == SIZE for mask in found.values())
    return found


def test_idrid(tmp_path: Path) -> None:
    found = masks(read_idrid(idrid(tmp_path)))
    assert list(found) == ["IDRiD_01", "IDRiD_02", "IDRiD_03"]
    np.testing.assert_array_equal(found["IDRiD_02"], lesion(2))
    assert not found["IDRiD_03"].any()
    test = masks(read_idrid(tmp_path / "A. Segmentation", "test"))
    np.testing.assert_array_equal(test["IDRiD_55"], lesion(55))


def test_eophtha(tmp_path: Path) -> None:
    found = masks(read_eophtha(eophtha(tmp_path)))
    assert list(found) == ["E0000404_C0001883", "E0000404_C0001885", "E0000513_C0001883"]
    np.testing.assert_array_equal(found["E0000404_C0001885"], lesion(5))
    everything = masks(read_eophtha(tmp_path, healthy=True))
    assert list(everything)[3:] == ["E0000043_C0000887"]
    assert not everything["E0000043_C0000887"].any()


@pytest.mark.parametrize("version", [False, True])
def test_hei_med(tmp_path: Path, version: bool) -> None:
    found = masks(read_hei_med(hei_med(tmp_path, version)))
    assert list(found) == ["00000003", "00000094"]
    expected = np.zeros(SIZE, bool)
    expected[2:5, 3:9] = expected[15, 1:4] = True
    np.testing.assert_array_equal(found["00000003"], expected)
    assert not found["00000094"].any()


def test_plain_folders(tmp_path: Path) -> None:
    found = masks(read_lesion_folder(lesion_folder(tmp_path / "one")))
    np.testing.assert_array_equal(found["a"], lesion(0))
    assert not found["b"].any()
    np.testing.assert_array_equal(masks(read_lesion_folder(plain_folder(tmp_path / "two")))["a"], lesion(0))


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (idrid, read_idrid),
        (eophtha, read_eophtha),
        (hei_med, read_hei_med),
        (lesion_folder, read_lesion_folder),
        (plain_folder, read_lesion_folder),
    ],
)
def test_each_layout_is_recognised(tmp_path: Path, make: Callable[[Path], Path], read: Any) -> None:
    assert [case.name for case in read_exudates(make(tmp_path))] == [case.name for case in read(tmp_path)]


def test_parts(tmp_path: Path) -> None:
    lesion_folder(tmp_path / "train")
    plain_folder(tmp_path / "test")
    assert [case.name for case in read_exudates(tmp_path)] == ["a", "b"]
    assert [case.name for case in read_exudates(tmp_path, "test")] == ["a"]
    assert [case.name for case in read_exudates(idrid(tmp_path / "idrid"), "test")] == ["IDRiD_55"]


def test_a_folder_that_fits_nothing_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    text = "got pictures; expected one of `1. Original Images/` and .*E-Ophtha-EX.*HEI-MED.*plain folders"
    with pytest.raises(InvalidInput, match=text):
        read_exudates(tmp_path)
    with pytest.raises(InvalidInput, match="got nothing there"):
        read_exudates(tmp_path / "absent")


def test_a_folder_that_fits_twice_is_not_guessed(tmp_path: Path) -> None:
    lesion_folder(eophtha(tmp_path) / "e_optha_EX")
    with pytest.raises(InvalidInput, match=re.escape("(E-Ophtha-EX) and `images/`")):
        read_exudates(tmp_path / "e_optha_EX")


def without(path: str) -> Callable[[Path], None]:
    return lambda root: (root / path).unlink()


def damage_map(content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / "DMED" / "(00000003).map.gz"
        path.write_bytes(content(path.read_bytes()))

    return change


def other_size(root: Path) -> None:
    photograph(root / "DMED" / "(00000003).jpg", (20, 31))


def stray(root: Path) -> None:
    annotation(root / "EX" / "c_EX.png", lesion(0))


def smoothed(root: Path) -> None:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[0, 0], pixels[0, 1] = 255, 128
    Image.fromarray(pixels).save(root / "EX" / "a_EX.png")


TRUTH = "A. Segmentation/2. All Segmentation Groundtruths/a. Training Set/3. Hard Exudates"


@pytest.mark.parametrize(
    ("make", "change", "text"),
    [
        (idrid, without("A. Segmentation/1. Original Images/a. Training Set/IDRiD_02.jpg"), "IDRiD_02_EX.tif without"),
        (idrid, lambda r: [p.unlink() for p in (r / TRUTH).iterdir()], "no annotations"),
        (eophtha, without("e_optha_EX/Annotation_EX/E0000513/C0001883_EX.png"), "C0001883.jpg: got no annotation"),
        (hei_med, without("DMED/(00000003).GND"), "got no text file beside it"),
        (hei_med, lambda r: (r / "DMED" / "(00000003).GND").write_text("many\n"), "got 'many' and 0 lines"),
        (hei_med, lambda r: (r / "DMED" / "(00000003).GND").write_text("1\nExudate 1\n"), "got region 3"),
        (hei_med, damage_map(lambda content: content[:30]), "expected a gzip file of int32"),
        (hei_med, damage_map(lambda content: b"plain"), "expected a gzip file of int32"),
        (hei_med, damage_map(lambda c: gzip.compress(gzip.decompress(c)[:-4])), "numbers for 30 x 20 px"),
        (hei_med, other_size, "got 20 x 30 px; expected 20 x 31 px, the size of"),
        (lesion_folder, stray, "c_EX.png without an image"),
        (lesion_folder, smoothed, "got 2 colours beside black"),
    ],
)
def test_damage_is_named(tmp_path: Path, make: Any, change: Callable[[Path], Any], text: str) -> None:
    change(make(tmp_path))
    with pytest.raises(InvalidInput, match=re.escape(text)):
        masks(read_exudates(tmp_path))
