"""Cached working images: the SDK's numbers, whole or absent, and a new key for every change."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fundusrt.errors import InvalidInput, OutputError
from fundusrt.image import read_image
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole
from fundusrt_training.data import working_image
from fundusrt_training.data.folder import read_folder, read_mask
from fundusrt_training.data.working_image import prepare, prepare_all
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

Make = Callable[..., CmwnetConfig]


def test_arrays_are_what_the_sdk_makes(folder: Path, cache: Path, tiny_config: Make) -> None:
    spec = tiny_config("prep.clahe.clip=2", "prep.clahe.grid=4").working_image_spec()
    for case in read_folder(folder):
        ours = prepare(case, spec, cache)
        image, mask = read_image(case.image), read_mask(case.mask)
        enhanced = enhance(image, spec.preprocess)
        assert np.array_equal(ours.grid, fit_to_grid(enhanced, spec.tile))
        assert ours.grid.shape == (64, 96)
        assert np.array_equal(ours.whole, shrink_whole(enhanced, spec.whole))
        assert np.array_equal(ours.mask, fit_to_grid(mask.astype(np.uint8), spec.tile))
        assert np.array_equal(ours.original_mask, mask)
        assert np.array_equal(ours.original_fov, image.fov)
        assert ours.whole_mean == pytest.approx(ours.whole.mean() / 255)
        for row in range(2):
            for column in range(3):
                window = slice(32 * row, 32 * row + 32), slice(32 * column, 32 * column + 32)
                assert ours.tile_leakage[row][column] == ours.mask[window].sum()
                assert ours.tile_fov[row][column] == fit_to_grid(image.fov.astype(np.uint8), spec.tile)[window].sum()
        assert isinstance(ours.grid, np.memmap)


def test_mask_of_the_whole_image_nearest_and_area(folder: Path, cache: Path, tiny_config: Make) -> None:
    case = read_folder(folder)[0]
    mask = read_mask(case.mask)
    nearest = prepare(case, tiny_config().working_image_spec(), cache).whole_mask
    for i in range(32):
        for j in range(32):
            assert nearest[i, j] == mask[(2 * i + 1) * 70 // 64, (2 * j + 1) * 100 // 64]
    area = prepare(case, tiny_config("global.mask=area").working_image_spec(), cache).whole_mask
    assert set(np.unique(area)) == {0, 1}
    # majority votes keep the area: off by less than the outline's share
    assert abs(int(area.sum()) * 70 * 100 / 32**2 - int(mask.sum())) < 0.25 * mask.sum()
    assert (area != nearest).any()


def test_second_time_comes_from_the_cache(
    folder: Path, tmp_path: Path, tiny_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, case = tiny_config().working_image_spec(), read_folder(folder)[0]
    first = prepare(case, spec, tmp_path)
    monkeypatch.setattr(working_image, "read_image", None)
    assert prepare(case, spec, tmp_path).folder == first.folder


def test_every_parameter_and_every_byte_changes_the_key(folder: Path, tmp_path: Path, tiny_config: Make) -> None:
    case = read_folder(folder)[0]
    changes = (
        "",
        "prep.gamma=1.5",
        "tile.size=16",
        "tile.round=ceil",
        "global.size=16",
        "global.interp=bilinear",
        "global.mask=area",
        "prep.fov=file",
        "prep.clahe.clip=3",
    )
    specs = [tiny_config(*filter(None, [change])).working_image_spec() for change in changes]
    folders = {prepare(case, spec, tmp_path / "cache").folder for spec in specs}
    assert len(folders) == len(changes)
    pixels = np.array(Image.open(case.image))
    pixels[0, 0] += 1
    other = tmp_path / "eye0.png"
    Image.fromarray(pixels).save(other)
    changed = prepare(dataclasses.replace(case, image=other), specs[0], tmp_path / "cache")
    assert changed.folder not in folders


def test_fov_from_file_or_found(folder: Path, tmp_path: Path, tiny_config: Make) -> None:
    data = Path(shutil.copytree(folder, tmp_path / "data"))
    fov = np.zeros((70, 100), np.uint8)
    fov[:, :50] = 255
    (data / "fov").mkdir()
    Image.fromarray(fov).save(data / "fov" / "eye0.png")
    case = read_folder(data)[0]
    found = prepare(case, tiny_config().working_image_spec(), tmp_path / "cache")
    given = prepare(case, tiny_config("prep.fov=file").working_image_spec(), tmp_path / "cache")
    assert np.array_equal(given.original_fov, fov > 0)
    assert not given.grid[:, 50:].any(), "black outside the field of view"
    assert found.grid[:, 50:].any()
    assert set(given.sha256) == {"image", "mask", "fov"}


def test_a_failed_build_leaves_nothing(
    folder: Path, tmp_path: Path, tiny_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, array: np.ndarray) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(working_image.np, "save", full)
    with pytest.raises(
        OutputError, match="No space left on device; expected a cache folder that can be written; free some space"
    ):
        prepare(read_folder(folder)[0], tiny_config().working_image_spec(), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not list(tmp_path.rglob("*.tmp"))


def test_mask_of_another_size_names_the_file(folder: Path, tmp_path: Path, tiny_config: Make) -> None:
    case = read_folder(folder)[0]
    mask = tmp_path / "eye0.png"
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(mask)
    with pytest.raises(InvalidInput, match=r"eye0\.png: got 10 x 10 px; expected 70 x 100 px"):
        prepare(dataclasses.replace(case, mask=mask), tiny_config().working_image_spec(), tmp_path)


def test_progress_is_told(folder: Path, cache: Path, tiny_config: Make) -> None:
    told: list[tuple[int, int]] = []
    prepare_all(read_folder(folder), tiny_config().working_image_spec(), cache, lambda *a: told.append(a))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_edited_code_or_another_opencv_is_another_key(tiny_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny_config().working_image_spec()
    before = spec.identity()
    monkeypatch.setattr(working_image, "_code_sha256", lambda: "edited")
    assert spec.identity() != before
    monkeypatch.undo()
    assert spec.identity() == before
    monkeypatch.setattr("cv2.__version__", "0.0.0")
    assert spec.identity() != before
