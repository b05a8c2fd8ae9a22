"""PSNR and SSIM against scikit-image, and where the paper's conventions differ from its defaults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fundusrt.errors import InvalidInput
from fundusrt_training.enhancement_metrics import psnr, ssim
from tests.training.synthetic_eye import draw_eye


def pair(noise: float) -> tuple[np.ndarray, np.ndarray]:
    image = draw_eye(0, 60, 80)[0]
    noisy = image + np.random.default_rng(1).normal(0, noise, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), image


@pytest.mark.parametrize("noise", [1.0, 10.0, 80.0])
def test_equal_to_scikit_image(noise: float) -> None:
    bad, good = pair(noise)
    assert psnr(bad, good) == pytest.approx(peak_signal_noise_ratio(good, bad, data_range=255), abs=1e-9)
    expected = structural_similarity(
        good, bad, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(bad, good) == pytest.approx(expected, abs=1e-9)


def test_equal_images() -> None:
    good = pair(1.0)[1]
    assert psnr(good, good) == 100.0
    assert ssim(good, good) == pytest.approx(1.0)
    other = good.copy()
    other[0, 0, 0] ^= 1  # the smallest difference there is
    assert 60.0 < psnr(other, good) < 100.0


def test_by_hand() -> None:
    black, grey = np.zeros((12, 13, 3), np.uint8), np.full((12, 13, 3), 51, np.uint8)
    assert psnr(grey, black) == pytest.approx(-20 * np.log10(0.2))
    c1 = (0.01 * 255) ** 2
    assert ssim(grey, black) == pytest.approx(c1 / (51**2 + c1))  # of constants only the means differ


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a, b: (a.astype(np.float32), b), r"image: got shape \(60, 80, 3\) float32; expected \(H, W, 3\) RGB"),
        (lambda a, b: (a, b[..., 0]), r"reference: got shape \(60, 80\) uint8"),
        (lambda a, b: (a, b[:-1]), r"got \(60, 80, 3\) and \(59, 80, 3\); expected one shape"),
    ],
)
def test_refused(change: Any, text: str) -> None:
    for metric in (psnr, ssim):
        with pytest.raises(InvalidInput, match=text):
            metric(*change(*pair(1.0)))


def test_a_window_must_fit() -> None:
    small = np.zeros((10, 80, 3), np.uint8)
    with pytest.raises(InvalidInput, match="expected sides of at least 11 px"):
        ssim(small, small)
