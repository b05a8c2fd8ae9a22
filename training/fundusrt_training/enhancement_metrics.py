"""PSNR and SSIM of 8-bit colour images (MAGE-Net paper, Evaluation, with I-SECRET's conventions).

PSNR = 10 log10(1 / MSE), values in [0, 1]; 100 where MSE < 1e-10
SSIM: 11 x 11 Gaussian windows of sigma 1.5 that lie wholly inside the image, mean over windows and channels
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from fundusrt.errors import InvalidInput

__all__ = ["LARGEST_PSNR", "psnr", "ssim"]

Image = npt.NDArray[np.uint8]

_WINDOW = 11
_EQUAL = 1e-10  # a smaller mean squared error counts as none
LARGEST_PSNR = 100.0


def psnr(image: Image, reference: Image) -> float:
    """Return the peak signal-to-noise ratio in dB of two (H, W, 3) RGB uint8 images.

    Raises:
        InvalidInput: not two such images of one shape.
    """
    _check(image, reference)
    difference = (image.astype(np.float64) - reference.astype(np.float64)) / 255.0
    error = float(np.square(difference).mean())
    return LARGEST_PSNR if error < _EQUAL else -10.0 * math.log10(error)


def ssim(image: Image, reference: Image) -> float:
    """Return the structural similarity of two (H, W, 3) RGB uint8 images.

    Raises:
        InvalidInput: not two such images of one shape, or a side below 11 px.
    """
    _check(image, reference)
    if min(image.shape[:2]) < _WINDOW:
        raise InvalidInput(
            "image", got=f"shape {image.shape}", expected=f"sides of at least {_WINDOW} px", fix="enlarge"
        )
    found = structural_similarity_index_measure(
        _batch(image), _batch(reference), sigma=1.5, data_range=255.0, return_full_image=True
    )
    assert isinstance(found, tuple), "the mean and the map of all windows were asked for"
    reach = _WINDOW // 2  # torchmetrics mirrors the image at its border; those windows do not count
    return float(found[1][..., reach:-reach, reach:-reach].mean())


def _batch(image: Image) -> Tensor:
    return torch.from_numpy(image.astype(np.float64).transpose(2, 0, 1)[None])


def _check(image: Image, reference: Image) -> None:
    for name, each in (("image", image), ("reference", reference)):
        if each.dtype != np.uint8 or each.ndim != 3 or each.shape[2] != 3:
            raise InvalidInput(
                name, got=f"shape {each.shape} {each.dtype}", expected="(H, W, 3) RGB uint8", fix="convert it first"
            )
    if image.shape != reference.shape:
        raise InvalidInput(
            "images", got=f"{image.shape} and {reference.shape}", expected="one shape", fix="resize one to the other"
        )
