"""What stands before the retina: eyelids and lashes."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.config import AngiogramConfig
from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.noise import smooth_noise
from fundusrt_training.data.angiogram.raster import enlarge, soften

__all__ = ["Occlusion", "draw_occlusion"]


@dataclasses.dataclass(frozen=True)
class Occlusion:
    """Lids and lashes.

    transmission: (H, W) float32, share of the light that passes, 1 where nothing is in the way.
    sheen: (H, W) float32, light a lid reflects itself, in units of well lit background.
    lids, lashes: (H, W) bool.
    """

    transmission: NDArray[np.float32]
    sheen: NDArray[np.float32]
    lids: NDArray[np.bool_]
    lashes: NDArray[np.bool_]


def draw_occlusion(rng: np.random.Generator, eye: Eye, config: AngiogramConfig) -> Occlusion:
    """Draw lids and lashes on a coarse grid (both are out of focus) and enlarge them."""
    coarse = max(1, min(4, round(4 * eye.scale)))
    rows, columns = max(8, eye.height // coarse), max(8, eye.width // coarse)
    px = eye.scale * rows / eye.height
    transmission = np.ones((rows, columns), np.float32)
    sheen = np.zeros((rows, columns), np.float32)
    lids = np.zeros((rows, columns), np.float32)
    if rng.random() < config.lid_probability:
        for _ in range(int(rng.choice([1, 1, 2]))):
            _lid(rng, px, lids, sheen)
    lashes = np.zeros((rows, columns), np.float32)
    if rng.random() < config.lash_probability:
        _lashes(rng, px, lashes, from_above=False)
        if rng.random() < 0.2:
            _lashes(rng, px, lashes, from_above=True)
    lashes = np.clip(lashes, 0, 0.95)
    transmission = (1 - lashes) * (1 - 0.985 * lids)
    full = [enlarge(a, eye.height, eye.width) for a in (transmission, sheen, lids, lashes)]
    return Occlusion(full[0], full[1], full[2] > 0.5, full[3] > 0.4)


def _lid(rng: np.random.Generator, px: float, lids: NDArray[np.float32], sheen: NDArray[np.float32]) -> None:
    """A lid cuts a corner along a nearly straight, slightly blurred line; its skin shines dimly and evenly."""
    rows, columns = lids.shape
    y = np.arange(rows, dtype=np.float32)[:, None]
    x = np.arange(columns, dtype=np.float32)[None, :]
    below = rng.random() < 0.75
    left = rng.random() < 0.5
    angle = math.radians(rng.uniform(20, 75)) * (1 if left else -1)
    cut = rng.uniform(0.05, 0.30) * rows * 1.3
    corner_y = rows if below else 0
    corner_x = 0 if left else columns
    sign = -1.0 if below else 1.0
    inward = (x - corner_x) * math.sin(angle) + sign * (y - corner_y) * math.cos(angle)
    bow = smooth_noise(rng, rows, columns, rows / 2) * np.float32(30 * px)
    edge = (inward + bow - cut) / (rng.uniform(3, 25) * px)
    cover = 1 / (1 + np.exp(np.clip(edge, -30, 30)))
    shine = rng.uniform(0.25, 0.8) * (1 + 0.25 * smooth_noise(rng, rows, columns, rows / 3))
    shine = shine * (0.8 + 0.4 * np.clip(inward / max(cut, 1.0), 0, 1))
    np.maximum(lids, cover, out=lids)
    np.maximum(sheen, cover * np.clip(shine, 0.05, None), out=sheen)


def _lashes(rng: np.random.Generator, px: float, lashes: NDArray[np.float32], *, from_above: bool) -> None:
    """Lashes: dark streaks, wide and soft, that rise in a fan from one edge and fade towards their tips."""
    rows, columns = lashes.shape
    count = int(rng.integers(10, 60))
    root_x = columns * rng.uniform(0.2, 0.8)
    spread = rng.uniform(0.35, 0.75) * columns
    fan = rng.uniform(0.25, 0.8)
    lean = rng.normal(0, 0.25)
    strength = rng.uniform(0.35, 0.95)
    layers = [np.zeros((rows, columns), np.uint8) for _ in range(2)]
    for _ in range(count):
        offset = rng.uniform(-1, 1)
        x = root_x + offset * spread
        y = rows * 1.05
        heading = offset * fan + lean + rng.normal(0, 0.12)
        length = rows * rng.uniform(0.12, 0.62) * (0.7 + 0.3 * strength)
        bend = rng.normal(0.0, 0.5) * 1.2
        wide = max(1.0, rng.uniform(20, 110) * px)
        dark = strength * rng.uniform(0.25, 1.0)
        layer = layers[int(rng.integers(2))]
        steps = 14
        for step in range(steps):
            share = step / steps
            at = heading + bend * share
            nx = x + math.sin(at) * length / steps
            ny = y - math.cos(at) * length / steps
            grey = round(255 * dark * (1 - share**2))
            a, b = (round(x * 8), round(y * 8)), (round(nx * 8), round(ny * 8))
            cv2.line(layer, a, b, grey, max(1, round(wide * (1 - 0.6 * share))), cv2.LINE_AA, 3)
            x, y = nx, ny
    for layer, sigma in zip(layers, (rng.uniform(8, 16), rng.uniform(18, 34)), strict=True):
        soft = soften(layer, sigma * px, 0.5).astype(np.float32) / 255
        if from_above:
            soft = soft[::-1]
        lashes += soft * (1 - lashes)
