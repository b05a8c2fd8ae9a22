"""From brightness to the stored picture: blur, grain, black level, 8 bit, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.config import AngiogramConfig
from fundusrt_training.data.angiogram.eye import Eye

__all__ = ["expose"]


def expose(
    rng: np.random.Generator,
    grey: NDArray[np.float32],
    fov: NDArray[np.bool_],
    eye: Eye,
    config: AngiogramConfig,
) -> NDArray[np.uint8]:
    """Return the picture the camera stores, (H, W) uint8.

    grey: (H, W) float32, ideal grey levels; overwritten. fov: (H, W) bool, beyond it the sensor is dark but not still.
    """
    cv2.GaussianBlur(grey, (0, 0), max(0.4, rng.uniform(0.55, 0.9) * min(1.0, eye.scale)), dst=grey)
    dark_noise = rng.uniform(1.0, 3.0)
    shot_noise = rng.uniform(0.28, 0.52)
    level = np.maximum(grey, 0.0)
    level *= np.float32(shot_noise**2)
    level += np.float32(dark_noise**2)
    np.sqrt(level, out=level)
    grain = rng.standard_normal(grey.shape, dtype=np.float32)
    cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.55, 0.8), dst=grain)
    grain *= level
    del level
    grey += grain
    del grain
    grey -= np.float32(rng.uniform(0.0, 3.0))  # black level set a little too high: the darkest grain is lost
    np.clip(grey, 0, 255, out=grey)
    picture = np.rint(grey, out=grey).astype(np.uint8)
    if rng.random() < 0.8:
        picture[~fov] = 0
    if rng.random() < config.jpeg_probability:
        quality = int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1))
        done, stream = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise RuntimeError("OpenCV could not encode a JPEG picture")
        picture = np.asarray(cv2.imdecode(stream, cv2.IMREAD_GRAYSCALE), np.uint8)
    return picture
