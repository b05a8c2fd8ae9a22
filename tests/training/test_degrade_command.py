"""`fundusrt degrade`: what it writes, that its record makes each image again, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fundusrt.errors import FundusRTError, InvalidInput, UsageError
from fundusrt.image import from_array
from fundusrt_training.data.degradation.cli import degrade_command, regenerate
from fundusrt_training.data.degradation.square import square_eye


def photograph(height: int = 160, width: int = 220) -> np.ndarray:
    """A textured orange disc on black, off centre."""
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(y - height / 2, x - 0.45 * width) < 0.42 * height
    texture = np.random.default_rng(0).uniform(0.7, 1.0, (height, width))
    return (disc[..., None] * texture[..., None] * np.array([210, 120, 60])).astype(np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("b", "a"):
        cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(photograph(), cv2.COLOR_RGB2BGR))
    return folder


def run(*arguments: object) -> None:
    CliRunner().invoke(degrade_command, [str(a) for a in arguments], catch_exceptions=False)


def read(path: Path) -> np.ndarray:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return found if found.ndim == 2 else cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def test_blur_lengths_are_taken_and_written_down(images: Path, tmp_path: Path) -> None:
    sides = {}
    for lengths in ("frame", "pixels"):
        run(images, "-o", tmp_path / lengths, "--count", 6, "--side", 96, "--blur-lengths", lengths)
        index = json.loads((tmp_path / lengths / "index.json").read_text())
        assert index["blur_lengths"] == lengths
        draws = [draw["blur"] for entry in index["images"] for draw in entry["degradations"] if draw["blur"]]
        sides[lengths] = max(side for blur in draws for side in blur["sides"])
    assert sides["frame"] == 1
    assert sides["pixels"] in (3, 5, 7)


def test_every_degraded_image_can_be_made_again(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(images, "-o", out, "--count", 3, "--side", 96, "--seed", 5)
    index = json.loads((out / "index.json").read_text())
    assert [entry["name"] for entry in index["images"]] == ["a", "b"]
    assert len(index["images"][0]["sha256"]) == 64
    assert sorted(path.name for path in (out / "degraded").iterdir()) == [
        f"{n}_{k}.png" for n in "ab" for k in range(3)
    ]
    different = set()
    for entry in index["images"]:
        clean, fov = read(out / "clean" / f"{entry['name']}.png"), read(out / "fov" / f"{entry['name']}.png") > 0
        assert clean.shape == (96, 96, 3)
        for variant, record in enumerate(entry["degradations"]):
            written = read(out / "degraded" / f"{entry['name']}_{variant}.png")
            np.testing.assert_array_equal(regenerate(clean, fov, record), written)
            different.add(written.tobytes())
    assert len(different) == 6


def test_processes_change_nothing(images: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        run(images, "-o", tmp_path / str(workers), "--count", 2, "--side", 96, "--workers", workers)
    one, two = (tmp_path / "1", tmp_path / "2")
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 2 * (1 + 1 + 2) + 1
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


def test_a_square_eye_is_cut_to_its_field_and_keeps_its_shape() -> None:
    image = from_array(photograph())
    square, fov = square_eye(image, 128)
    assert square.shape == (128, 128, 3)
    assert not square[~fov].any()
    rows, columns = fov.any(axis=1), fov.any(axis=0)
    assert rows.sum() > 120
    assert abs(int(rows.sum()) - int(columns.sum())) <= 3  # a disc stays one
    area = fov.mean() / (np.pi / 4)
    assert area == pytest.approx(1.0, abs=0.05)


def test_an_image_without_an_eye_is_refused() -> None:
    with pytest.raises(InvalidInput, match="got no field of view; expected an image of an eye; pass another image"):
        square_eye(from_array(np.zeros((100, 100), np.uint8)), 96)


def test_refusals(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"got a folder that already holds a\.png; expected a new folder"):
        run(images, "-o", images)
    with pytest.raises(FundusRTError, match="got a pattern that matches no file"):
        run(tmp_path / "*.jpg", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()
