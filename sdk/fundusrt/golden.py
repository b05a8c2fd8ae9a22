"""The golden test vectors of a bundle: an image and what each stage must make of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.bundle import Bundle
from fundusrt.errors import BundleError, InvalidInput
from fundusrt.image import FundusImage, from_array
from fundusrt.preprocess import enhance, fit_to_grid, shrink_whole

__all__ = ["check_preprocessing", "golden_image"]

# Pre-processing is integer work but for OpenCV's area average, which may round a half either way from build to build.
MAX_LEVELS = 1
# A rim pixel of the field of view may fall on the other side; nothing else may.
MAX_OUTLIERS = 1e-3


def golden_image(bundle: Bundle) -> FundusImage:
    """Return the bundle's golden input.

    Raises:
        BundleError: it is no image that a pipeline accepts.
    """
    name = bundle.manifest.golden.image
    pixels = bundle.read_image(name)
    try:
        return from_array(pixels, source_id=f"{bundle.manifest.name}/{name}")
    except InvalidInput as error:
        raise BundleError(
            f"{bundle.source}, {name}", got=error.got, expected=error.expected, fix="export the bundle again"
        ) from error


def check_preprocessing(bundle: Bundle) -> dict[str, float]:
    """Pre-process the golden image here and compare with what the export recorded.

    Returns:
        Share of differing pixels (by more than one grey level) of `grid` and `whole`.

    Raises:
        BundleError: this installation pre-processes differently from the one that made the bundle.
    """
    manifest = bundle.manifest
    enhanced = enhance(golden_image(bundle), manifest.preprocess)
    made = {
        "grid": fit_to_grid(enhanced, manifest.tile),
        "whole": shrink_whole(enhanced, manifest.whole_image),
    }
    recorded = {"grid": bundle.read_array(manifest.golden.grid), "whole": bundle.read_array(manifest.golden.whole)}
    shares: dict[str, float] = {}
    for stage, expected in recorded.items():
        shares[stage] = _outliers(made[stage], expected)
        if not shares[stage] <= MAX_OUTLIERS:
            raise BundleError(
                f"{bundle.source}, golden pre-processing, {stage}",
                got=f"{100.0 * shares[stage]:.3f} % of the pixels off by more than {MAX_LEVELS} grey level",
                expected=f"at most {100.0 * MAX_OUTLIERS} %",
                fix="use the package versions of the certificate (`fundusrt inspect`), or export the bundle again",
            )
    return shares


def _outliers(made: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    if made.shape != expected.shape or made.dtype != expected.dtype:
        return 1.0
    return float(np.mean(np.abs(made.astype(np.int16) - expected.astype(np.int16)) > MAX_LEVELS))
