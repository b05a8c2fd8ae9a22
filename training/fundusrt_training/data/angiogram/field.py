"""Field of view: rounded irregular polygon, soft rim, dim outer band, uneven light."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.noise import smooth_noise
from fundusrt_training.data.angiogram.raster import coarse_coordinates, enlarge

__all__ = ["Field", "draw_field"]

_COARSE_PX = 8  # the shape is smooth: it is evaluated on every 8th pixel


@dataclasses.dataclass(frozen=True)
class Field:
    """What of the retina the camera sees.

    fov: (H, W) bool. light: (H, W) float32, share of the light that arrives, 0 outside, about 1 where well lit.
    """

    fov: NDArray[np.bool_]
    light: NDArray[np.float32]


def draw_field(rng: np.random.Generator, eye: Eye) -> Field:
    """Draw the field of view and the light in it for one eye."""
    height, width = eye.height, eye.width
    y, x = coarse_coordinates(eye, _COARSE_PX)
    y, x = y - np.float32(height / 2), x - np.float32(width / 2)
    outside = _polygon(rng, eye, y, x)
    band = _outer_band(rng, eye, y, x)
    light = _illumination(rng, eye, y, x)
    light *= band
    signed, light = enlarge(outside, height, width), enlarge(light, height, width)
    rim_px = max(1.0, eye.px(rng.choice([4.0, 10.0, 40.0])))
    rim = signed * np.float32(-1.0 / rim_px)
    np.clip(rim, 0.0, 1.0, out=rim)
    light *= rim
    return Field(signed < 0, light)


def _polygon(rng: np.random.Generator, eye: Eye, y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signed distance in px (negative inside) to a rounded polygon: soft maximum of half planes."""
    half_h, half_w = eye.height / 2, eye.width / 2
    turn = math.radians(rng.normal(0, 3.0))
    planes: list[tuple[float, float]] = []
    for quarter, reach in enumerate((half_w, half_h, half_w, half_h)):
        angle = quarter * math.pi / 2 + turn + math.radians(rng.normal(0, 2.0))
        cut = rng.uniform(0.75, 0.95) if rng.random() < 0.1 else rng.uniform(0.95, 1.03)
        planes.append((angle, reach * cut))
    for quarter in range(4):
        for _ in range(rng.integers(1, 3)):
            angle = quarter * math.pi / 2 + math.radians(rng.uniform(18, 72)) + turn
            corner = half_w * abs(math.cos(angle)) + half_h * abs(math.sin(angle))
            planes.append((angle, corner * (1 - min(rng.gamma(2.2, 0.05), 0.24))))
    softness = eye.px(rng.uniform(12, 60))
    total = np.zeros((y.shape[0], x.shape[1]), np.float32)
    for angle, offset in planes:
        distance = (y * math.sin(angle) + x * math.cos(angle) - offset) / softness
        total += np.exp(np.minimum(distance, 40.0))
    return (np.log(np.maximum(total, 1e-30)) * softness).astype(np.float32)


def _outer_band(
    rng: np.random.Generator, eye: Eye, y: NDArray[np.float32], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Share of light, 1 inside and low beyond the pupil's shadow, which cuts the sides along a wide circle."""
    share = np.ones((y.shape[0], x.shape[1]), np.float32)
    for side in (-1.0, 1.0):
        if rng.random() < 0.35:
            continue
        radius = eye.width * rng.uniform(0.42, 0.7)
        inset = eye.px(rng.uniform(30, 230))
        centre_x = side * (eye.width / 2 - inset - radius)
        centre_y = eye.height * rng.uniform(-0.08, 0.12)
        distance = np.sqrt((y - centre_y) ** 2 + (x - centre_x) ** 2) - radius
        beyond = 1.0 / (1.0 + np.exp(-np.clip(distance / eye.px(rng.uniform(5, 18)), -30, 30)))
        beyond *= side * x > 0
        share *= (1.0 - (1.0 - rng.uniform(0.03, 0.3)) * beyond).astype(np.float32)
    return share


def _illumination(
    rng: np.random.Generator, eye: Eye, y: NDArray[np.float32], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Slow fall-off from the centre, darkness that comes down from above, large soft patches."""
    half_h, half_w = eye.height / 2, eye.width / 2
    radius2 = (y / (half_h * rng.uniform(1.1, 1.6))) ** 2 + (x / (half_w * rng.uniform(1.2, 2.0))) ** 2
    light = np.exp(-(radius2 ** rng.uniform(0.8, 1.4)) * rng.uniform(0.4, 1.5)).astype(np.float32)
    top_edge = -half_h * rng.uniform(0.5, 1.05)
    width_px = half_h * rng.uniform(0.08, 0.28)
    slant = math.tan(math.radians(rng.normal(0, 6)))
    dark = 1.0 / (1.0 + np.exp(np.clip((y + slant * x - top_edge) / width_px, -30, 30)))
    light *= (1.0 - rng.uniform(0.5, 0.97) * dark).astype(np.float32)
    if rng.random() < 0.5:
        low_edge = half_h * rng.uniform(0.6, 1.2)
        dark = 1.0 / (1.0 + np.exp(np.clip((low_edge - y) / width_px, -30, 30)))
        light *= (1.0 - rng.uniform(0.2, 0.85) * dark).astype(np.float32)
    rows, columns = light.shape
    patches = smooth_noise(rng, rows, columns, max(2.0, columns / 6)) * np.float32(0.12)
    light *= np.exp(patches)
    return light
