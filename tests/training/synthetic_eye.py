"""A drawn eye for tests: an orange disc on black, a bright optic disc, dark branching vessels whose mask is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def draw_eye(seed: int, height: int = 150, width: int = 180) -> tuple[np.ndarray, np.ndarray]:
    """Return the photograph (H, W, 3) uint8 and its vessels (H, W) bool."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    radius = 0.46 * min(height, width)
    middle = np.array([width / 2, height / 2])
    inside = np.hypot(y - middle[1], x - middle[0]) < radius
    pixels = np.array([170.0, 90.0, 40.0]) * np.ones((height, width, 1))
    pixels += random.normal(0, 4, (height, width, 1)) + 20 * np.cos(x / width * np.pi)[..., None]
    vessels = np.zeros((height, width), np.uint8)
    start = middle + radius * np.array([0.4, 0.0])
    for angle in np.linspace(0, 2 * np.pi, 8, endpoint=False) + random.uniform(0, 0.5):
        steps = np.arange(0, 2 * radius, 3.0)
        bend = angle + random.uniform(-0.01, 0.01) * steps
        points = start + np.cumsum(3.0 * np.column_stack((np.cos(bend), np.sin(bend))), axis=0)
        cv2.polylines(vessels, [points.astype(np.int32)], False, 1, int(random.integers(1, 4)))
    marked = (vessels > 0) & inside
    pixels[np.hypot(y - start[1], x - start[0]) < radius / 7] = (230, 130, 90)
    pixels[marked] *= 0.55
    return (np.clip(pixels, 0, 255) * inside[..., None]).astype(np.uint8), marked


def save_eye(seed: int, image: Path, vessels: Path | None = None, size: tuple[int, int] = (150, 180)) -> None:
    """Write an eye, and its vessels as 0 and 255 where a file is named for them."""
    pixels, marked = draw_eye(seed, *size)
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(image)
    if vessels is not None:
        vessels.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(marked.astype(np.uint8) * 255).save(vessels)
