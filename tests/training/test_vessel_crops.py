"""Vessel crops: photograph and vessels move alike, places and strengths keep their limits, all follows the seed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.data.framed_eye import EyeFiles, FramedEye, frame_eye
from fundusrt_training.data.vessels.crops import CropDraw, VesselAugmentation, VesselCrops, crop_matrix
from tests.training.synthetic_eye import save_eye

STILL = VesselAugmentation(flip=0.0, rotate=0.0, zoom=0.0, jitter=(0.0, 0.0, 0.0, 0.0))


@pytest.fixture
def eye(tmp_path: Path) -> FramedEye:
    save_eye(0, tmp_path / "eye.png", tmp_path / "vessels.png")
    return frame_eye(EyeFiles("a", tmp_path / "eye.png", tmp_path / "vessels.png"), 128, tmp_path)


def item(crops: VesselCrops, seed: tuple[int, ...] | None) -> tuple[np.ndarray, np.ndarray]:
    found = crops[CropDraw(0, seed)]
    image, vessels = found["image"], found["vessels"]
    assert isinstance(image, torch.Tensor)
    assert isinstance(vessels, torch.Tensor)
    assert image.dtype == vessels.dtype == torch.float32
    assert 0.0 <= float(image.min()) <= float(image.max()) <= 1.0
    return image.numpy(), vessels.numpy()


def test_without_a_seed_it_is_the_frame(eye: FramedEye) -> None:
    image, vessels = item(VesselCrops([eye], 96, VesselAugmentation()), None)
    pixels, _, share = eye.read()
    assert isinstance(share, np.ndarray)
    np.testing.assert_array_equal(np.round(image * 255), pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(np.round(vessels * 255), share)


def test_a_still_crop_is_a_window_of_the_frame(eye: FramedEye) -> None:
    pixels, _, share = eye.read()
    assert isinstance(share, np.ndarray)
    corners = set()
    for seed in range(8):
        image, vessels = item(VesselCrops([eye], 96, STILL), (seed,))
        matrix = crop_matrix(128, 96, STILL, (seed,))
        np.testing.assert_allclose(matrix[:, :2], np.eye(2), rtol=0, atol=1e-12)
        x, y = (-round(float(shift)) for shift in matrix[:, 2])
        assert 0 <= min(x, y) <= max(x, y) <= 32
        corners.add((x, y))
        np.testing.assert_allclose(image * 255, pixels[y : y + 96, x : x + 96].transpose(2, 0, 1), rtol=0, atol=1e-3)
        np.testing.assert_allclose(vessels * 255, share[y : y + 96, x : x + 96], rtol=0, atol=1e-3)
    assert len(corners) > 4


@pytest.mark.parametrize("seed", range(6))
def test_photograph_and_vessels_move_alike(eye: FramedEye, seed: int) -> None:
    """Vessels are darker than what lies around them, whatever was done to both."""
    image, vessels = item(VesselCrops([eye], 128, VesselAugmentation(jitter=(0.1, 0.1, 0.1, 0.0))), (seed,))
    green, inside = image[1], image.sum(axis=0) > 0.2
    near = (vessels < 0.05) & inside
    assert green[(vessels > 0.9) & inside].mean() < 0.8 * green[near].mean()


def test_a_seed_is_all_there_is(eye: FramedEye) -> None:
    crops = VesselCrops([eye], 96, VesselAugmentation())
    one, same, other = (item(crops, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(one[0], same[0])
    np.testing.assert_array_equal(one[1], same[1])
    assert not np.array_equal(one[0], other[0])


def test_turns_flips_and_zooms_are_about_the_middle() -> None:
    config = VesselAugmentation(flip=1.0, rotate=90.0, zoom=0.5)
    for seed in range(20):
        linear, shift = np.split(crop_matrix(100, 100, config, (seed,)), [2], axis=1)
        np.testing.assert_allclose(linear @ [49.5, 49.5] + shift[:, 0], [49.5, 49.5], rtol=0, atol=1e-9)
        scale = math.sqrt(abs(np.linalg.det(linear)))
        assert 1 / 1.5 <= scale <= 1.5
        assert np.linalg.det(linear) > 0  # two flips are a half turn
        assert math.atan2(-linear[0, 1], -linear[0, 0]) == pytest.approx(0.0, abs=math.pi / 2 + 1e-9)
    flips = [np.linalg.det(crop_matrix(9, 9, VesselAugmentation(), (seed,))[:, :2]) < 0 for seed in range(200)]
    assert 70 < sum(flips) < 130


def test_an_eye_without_vessels_is_refused(tmp_path: Path) -> None:
    save_eye(0, tmp_path / "eye.png")
    alone = frame_eye(EyeFiles("a", tmp_path / "eye.png"), 96, tmp_path)
    with pytest.raises(InvalidInput, match="a: got no vessels"):
        VesselCrops([alone], 96, STILL)[CropDraw(0, None)]


@pytest.mark.parametrize(
    "fields", [{"flip": 1.5}, {"rotate": 181.0}, {"zoom": -0.1}, {"jitter": (0.0, 0.0, 0.0, 0.6)}], ids=str
)
def test_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"aug\.{next(iter(fields))}"):
        VesselAugmentation(**fields)
