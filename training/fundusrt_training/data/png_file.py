"""PNG files of generated and degraded images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt.atomic import write_bytes
from fundusrt.errors import OutputError

__all__ = ["write_png"]


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an (H, W) or (H, W, 3) RGB uint8 picture, whole or not at all. Raises OutputError."""
    stored: Any = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, stream = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise OutputError(path, got="OpenCV could not encode PNG", expected="an 8-bit picture", fix="report it")
    write_bytes(path, stream.tobytes())
