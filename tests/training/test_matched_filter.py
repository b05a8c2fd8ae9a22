"""Vessels by matched filters: a drawn vessel is found, in its place; brightness, rim and size do not matter."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fundusrt.errors import InvalidInput
from fundusrt_training.data.enhancement import matched_filter as module
from fundusrt_training.data.enhancement.matched_filter import filter_folder, matched_filter, vessels_by_filter


def eye(side: int, angle: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a grey photograph with one dark vessel, its field of view and the vessel."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    fov = x**2 + y**2 < (0.48 * side) ** 2
    across = x * np.cos(angle) + y * np.sin(angle)
    width = 3.0 * side / 512
    grey = 120 + 40 * x / side - 50 * np.exp(-(across**2) / (2 * width**2))
    noise = np.random.default_rng(0).normal(0, 3, grey.shape)
    return np.where(fov, grey + noise, 0).astype(np.uint8), fov, (np.abs(across) < width) & fov


@pytest.mark.parametrize("side", [256, 512, 1111])
@pytest.mark.parametrize("angle", [0.0, 0.3, 1.2, 2.5])
def test_a_vessel_is_found(side: int, angle: float) -> None:
    grey, fov, vessel = eye(side, angle)
    found = vessels_by_filter(grey, fov)
    assert found.shape == fov.shape
    assert not found[~fov].any()
    core = vessel & (cv2.erode(fov.astype(np.uint8), np.ones((3, 3)), iterations=side // 20) > 0)
    assert found[core].mean() > 0.9
    assert found[fov].mean() < 0.11
    chance = found[fov & ~vessel].mean()
    assert chance < 0.09


def test_it_is_the_green_channel_and_exposure_does_not_matter() -> None:
    grey, fov, vessel = eye(256)
    red = np.dstack([np.zeros_like(grey), grey, np.full_like(grey, 200)])
    found = vessels_by_filter(grey, fov)
    np.testing.assert_array_equal(vessels_by_filter(red, fov), found)
    darker = vessels_by_filter((grey * 0.6).astype(np.uint8), fov)
    assert (darker ^ found).sum() / found.sum() < 0.35
    assert vessels_by_filter(255 - grey, fov)[vessel].mean() < 0.1  # a bright line is no vessel


def test_a_kernel_has_no_mean_and_answers_its_own_direction_most() -> None:
    for direction in range(module.DIRECTIONS):
        kernel = module._kernel(1.6, direction)
        assert abs(float(kernel.sum())) < 1e-6
        assert float(np.abs(kernel).sum()) == pytest.approx(1.0, abs=1e-5)
    flat = matched_filter(np.full((40, 40), 7.0, np.float32), 1.6)
    np.testing.assert_allclose(flat, 0.0, rtol=0, atol=1e-5)
    valley = np.zeros((41, 41), np.float32)
    valley[:, 20] = -1.0
    answer = matched_filter(valley, 1.0)
    assert int(answer[20].argmax()) == 20


@pytest.mark.parametrize("shape", [(1, 1), (13, 7), (64, 64)])
def test_small_and_empty_fields(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    assert not vessels_by_filter(grey, np.zeros(shape, bool)).any()
    assert vessels_by_filter(grey, np.ones(shape, bool)).shape == shape


def test_a_folder(tmp_path: Path) -> None:
    grey, _, _ = eye(256)
    (tmp_path / "clean").mkdir()
    with pytest.raises(InvalidInput, match=r"no file in clean/"):
        filter_folder(tmp_path)
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / "clean" / "a.png")
    (written,) = filter_folder(tmp_path)
    assert written == tmp_path / "vessels" / "a.png"
    mask = np.asarray(Image.open(written))
    assert mask.shape == (256, 256)
    assert set(np.unique(mask)) == {0, 255}
