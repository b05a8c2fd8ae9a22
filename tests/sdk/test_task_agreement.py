"""Masks and images against each other: Dice and area, PSNR and SSIM."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fundusrt import task_agreement
from fundusrt.task_agreement import area_difference, dice, image_figures, lesions_found, mask_figures, psnr

A = np.zeros((40, 50), bool)
A[:10, :10] = True
B = np.zeros((40, 50), bool)
B[:10, 5:15] = True


def test_dice_and_area() -> None:
    assert dice(A, A) == 1.0
    assert dice(A, B) == 0.5
    assert dice(~A & A, A & ~A) == 1.0
    assert area_difference(A, B) == 0.0
    assert area_difference(A, A | B) == 0.5
    # of an empty mask the area counts as a thousandth of the image
    assert area_difference(A & ~A, A) == 100 / 2.0
    assert (dice(A, A[1:]), area_difference(A, A[1:])) == (0.0, 1.0)
    assert [figure.holds for figure in mask_figures(A, A | B)] == [False, False, True, True, True]
    assert [figure.holds for figure in mask_figures(A, B)] == [False, True, True, True, True]


def test_lesions_found_by_size() -> None:
    reference = np.zeros((200, 200), bool)
    for x in range(0, 80, 8):
        reference[0:4, x : x + 4] = True  # ten of 16 px
    reference[20:40, 0:20] = True  # 400 px
    reference[100:140, 0:40] = True  # 1600 px
    reference[140, 40] = True  # touches it by a corner: one lesion
    assert lesions_found(reference, reference) == {"small": 1.0, "medium": 1.0, "large": 1.0}
    other = reference.copy()
    other[0:4, 0:2] = False  # half of a small one: still found
    other[0:4, 8:11] = False  # more than half
    other[20:40, 0:10] = False  # half of the medium one
    other[100:140, 0:20] = False  # 801 of the large one's 1601 px are left
    assert lesions_found(reference, other) == {"small": 0.9, "medium": 1.0, "large": 1.0}
    other[120, 30] = False
    assert lesions_found(reference, other) == {"small": 0.9, "medium": 1.0, "large": 0.0}
    held = {figure.metric: figure.holds for figure in mask_figures(reference, other)}
    assert [held[name] for name in held if "lesions found" in name] == [False, True, False]
    assert set(lesions_found(reference, other[1:]).values()) == {0.0}
    assert set(lesions_found(reference & False, reference).values()) == {1.0}


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("noise", [1.0, 20.0])
def test_image_figures_are_scikit_images(channels: tuple[int, ...], noise: float) -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, (61, 83, *channels)).astype(np.uint8)
    other = np.clip(image + rng.normal(0, noise, image.shape), 0, 255).round().astype(np.uint8)
    assert math.isclose(psnr(image, other), peak_signal_noise_ratio(image, other), rel_tol=1e-12)
    truth = structural_similarity(
        image,
        other,
        gaussian_weights=True,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2 if channels else None,
    )
    assert math.isclose(task_agreement.structural_similarity(image, other), truth, rel_tol=1e-9)
    assert [figure.holds for figure in image_figures(image, image)] == [True, True]
    assert not image_figures(image, other)[0].holds


def test_what_is_no_pair_of_images_is_not_alike() -> None:
    image = np.zeros((20, 20), np.uint8)
    for other in (image[1:], image.astype(np.float32)):
        assert [figure.value for figure in image_figures(image, other)] == [0.0, 0.0]
    assert psnr(image, image) == 100.0
