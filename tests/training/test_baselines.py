"""CLAHE and the dark channel prior: against plain loops, on haze that is known, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.baselines import enhance_by_clahe, enhance_by_dark_channel
from fundusrt_training.baselines.dark_channel import dark_channel, haze_colour, smooth_along_edges
from tests.training.synthetic_eye import draw_eye


def test_clahe_treats_each_channel_by_itself() -> None:
    image = draw_eye(0)[0]
    better = enhance_by_clahe(image, clip=3.0, grid=4)
    clahe = cv2.createCLAHE(3.0, (4, 4))
    for channel in range(3):
        np.testing.assert_array_equal(better[..., channel], clahe.apply(image[..., channel].copy()))
    np.testing.assert_array_equal(better[..., ::-1], enhance_by_clahe(image[..., ::-1], 3.0, 4))
    inside = image.any(axis=2)
    assert (better[inside].std(axis=0) > image[inside].std(axis=0)).all()


def dark_channel_by_loops(image: np.ndarray, window: int) -> np.ndarray:
    reach = window // 2
    dark = np.zeros(image.shape[:2])
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            dark[y, x] = image[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].min()
    return dark


@pytest.mark.parametrize("window", [1, 3, 15])
def test_dark_channel_prior_by_loops(window: int) -> None:
    image = np.random.default_rng(0).integers(60, 256, (12, 14, 3), dtype=np.uint8)
    values = image / 255.0
    dark = dark_channel_by_loops(values, window)
    np.testing.assert_array_equal(dark_channel(values, window), dark)
    y, x = np.unravel_index(dark.argmax(), dark.shape)  # a thousandth of 168 px: one
    ties = np.argwhere(dark == dark[y, x])
    haze = haze_colour(values, dark)
    assert any((values[y, x] == haze).all() for y, x in ties)
    transmission = 1 - 0.9 * dark_channel_by_loops(values / haze, window)
    expected = np.clip((values - haze) / np.maximum(transmission, 0.2)[..., None] + haze, 0, 1) * 255
    found = enhance_by_dark_channel(image, window=window, omega=0.9, t0=0.2, radius=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.5 + 1e-9)


def test_known_haze_is_removed() -> None:
    """Uniform haze over a picture that is dark in some channel everywhere, with one spot that is haze alone."""
    random = np.random.default_rng(0)
    clear = random.uniform(0.0, 0.8, (60, 80, 3))
    np.put_along_axis(clear, random.integers(0, 3, (60, 80, 1)), 0.0, axis=2)
    colour = np.array([0.9, 0.85, 0.8])
    hazy = 0.5 * clear + 0.5 * colour
    hazy[:9, :9] = colour
    image = np.round(hazy * 255).astype(np.uint8)
    better = enhance_by_dark_channel(image, window=3, omega=1.0, t0=0.1, radius=0) / 255.0
    away = (slice(12, None), slice(12, None))
    assert np.abs(better - clear)[away].mean() < 0.02
    assert np.abs(hazy - clear)[away].mean() > 0.2


def test_the_guided_filter_keeps_edges_and_smooths_planes() -> None:
    random = np.random.default_rng(0)
    guide = np.zeros((40, 40))
    guide[:, 20:] = 1.0
    values = guide * 0.5 + random.normal(0, 0.1, guide.shape)
    smooth = smooth_along_edges(values, guide, 8, 1e-4)
    assert np.abs(smooth - guide * 0.5).mean() < 0.3 * np.abs(values - guide * 0.5).mean()
    assert smooth[:, 21].mean() - smooth[:, 18].mean() == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(smooth_along_edges(2 * guide + 1, guide, 8, 1e-12), 2 * guide + 1, rtol=0, atol=1e-9)


def test_the_surround_stays_black() -> None:
    image = draw_eye(0)[0]
    inside = image.any(axis=2)
    better = enhance_by_dark_channel(image, radius=0)
    assert not better[:5].any()
    assert better[inside].std() > image[inside].std()
    assert enhance_by_dark_channel(np.zeros((20, 20, 3), np.uint8)).any() == np.False_


@pytest.mark.parametrize("method", [enhance_by_clahe, enhance_by_dark_channel])
def test_what_is_no_photograph_is_refused(method: Callable[..., Any]) -> None:
    for wrong in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32), np.zeros((0, 9, 3), np.uint8)):
        with pytest.raises(InvalidInput, match=r"photograph: got shape .*; expected \(H, W, 3\) RGB uint8"):
            method(wrong)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda i: enhance_by_clahe(i, clip=0.0), "clip: got 0.0; expected above 0"),
        (lambda i: enhance_by_clahe(i, grid=0), "grid: got 0"),
        (lambda i: enhance_by_dark_channel(i, window=4), "window: got 4; expected an odd number of px"),
        (lambda i: enhance_by_dark_channel(i, omega=0.0), "omega: got 0.0"),
        (lambda i: enhance_by_dark_channel(i, t0=1.5), "t0: got 1.5"),
        (lambda i: enhance_by_dark_channel(i, radius=-1), "radius and eps: got -1 and 0.001"),
        (lambda i: enhance_by_dark_channel(i, eps=0.0), "radius and eps: got 40 and 0"),
    ],
)
def test_refused_parameters(call: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        call(np.zeros((20, 20, 3), np.uint8))
