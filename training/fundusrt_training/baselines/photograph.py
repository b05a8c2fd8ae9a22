"""What every baseline takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput

__all__ = ["check_photograph"]


def check_photograph(image: npt.NDArray[Any]) -> None:
    """Raise InvalidInput for anything but (H, W, 3) uint8 with pixels."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InvalidInput(
            "photograph", got=f"shape {image.shape} {image.dtype}", expected="(H, W, 3) RGB uint8", fix="convert it"
        )
