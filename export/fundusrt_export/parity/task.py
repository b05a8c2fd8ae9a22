"""R7: the mask or the image of the deployed pipeline against that of the whole system in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.certificate import Measurement, Rung
from fundusrt.errors import InvalidInput
from fundusrt.image import FundusImage
from fundusrt.ladder import LADDER
from fundusrt.task_agreement import image_figures, mask_figures
from fundusrt_export.parity.inputs import array_sha256

__all__ = ["NAME", "image_task", "mask_task"]

NAME = "task"

Pixels = npt.NDArray[Any]


def mask_task(pairs: Sequence[tuple[Pixels, Pixels]], images: Sequence[FundusImage]) -> Rung:
    """Compare masks: the lowest Dice and the largest area difference of an image.

    Args:
        pairs: (H, W) bool masks of PyTorch and of the pipeline, one pair an image.
        images: the images.

    Raises:
        InvalidInput: PyTorch marks nothing in any image, so that every pipeline would agree.
    """
    if not any(reference.any() for reference, _ in pairs):
        raise InvalidInput(
            "parity images",
            got=f"{len(pairs)} in which the network marks nothing",
            expected="at least one with a lesion",
            fix="name one, by --golden or --parity-image: empty masks always agree",
        )
    return _worst(pairs, images, mask_figures)


def image_task(pairs: Sequence[tuple[Pixels, Pixels]], images: Sequence[FundusImage]) -> Rung:
    """Compare enhanced images: the lowest PSNR and SSIM of an image.

    Args:
        pairs: (H, W, 3) images of PyTorch, levels in [0, 255] of any dtype, and uint8 ones of the pipeline.
        images: the images.
    """
    return _worst([(np.rint(a).astype(np.uint8), b) for a, b in pairs], images, image_figures)


def _worst(
    pairs: Sequence[tuple[Pixels, Pixels]],
    images: Sequence[FundusImage],
    figures: Callable[[Pixels, Pixels], list[Measurement]],
) -> Rung:
    measured = [figures(reference, made) for reference, made in pairs]
    worst = tuple(
        (max if each[0].bound == "at_most" else min)(each, key=lambda figure: figure.value)
        for each in zip(*measured, strict=True)
    )
    hashes = {image.source_id: array_sha256(image.pixels) for image in images}
    return Rung(name=NAME, compares=LADDER[NAME].compares, inputs=hashes, measurements=worst)
