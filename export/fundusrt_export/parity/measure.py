"""What a difference is relative to; `fundusrt.agreement` has the figures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["span"]

Values = npt.NDArray[Any]


def span(reference: Values, least: float) -> float:
    """Return max - min of the reference, and not less than `least`.

    A network that answers nearly the same everywhere would otherwise turn rounding into a large relative error.
    """
    return max(float(reference.max()) - float(reference.min()), least) if np.isfinite(reference).all() else math.nan
