"""The healthy background: disc, macula, choroidal mottle, grain of capillaries, areas without perfusion."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.noise import octave_noise, smooth_noise
from fundusrt_training.data.angiogram.raster import coarse_coordinates, enlarge

__all__ = ["paint_background", "paint_disc", "paint_no_perfusion"]


def paint_background(rng: np.random.Generator, eye: Eye) -> NDArray[np.float32]:
    """Paint the background without vessels and disc. Returns (H, W) float32, 1 = mean brightness of the background."""
    height, width = eye.height, eye.width
    mottle = rng.uniform(0.75, 1.3)
    octaves = [(700, 0.16), (260, 0.07), (120, 0.05), (60, 0.04), (28, 0.05), (13, 0.08), (6, 0.10), (3, 0.08)]
    scaled = [(eye.px(pitch), amplitude * mottle) for pitch, amplitude in octaves if eye.px(pitch) >= 1.0]
    background = octave_noise(rng, height, width, scaled)
    # ridges where a smooth field crosses zero: a net of fine bright threads, as the capillaries and choroid give
    for pitch, sharpness, amplitude in ((36.0, 0.16, 0.05), (16.0, 0.28, 0.05)):
        if eye.px(pitch) < 3:
            continue
        half = smooth_noise(rng, (height + 1) // 2, (width + 1) // 2, eye.px(pitch) / 2)
        half /= np.float32(sharpness)
        np.square(half, out=half)
        np.negative(half, out=half)
        np.exp(half, out=half)
        half *= np.float32(amplitude * mottle)
        background += enlarge(half, height, width)
    np.exp(background, out=background)
    background *= _slow(rng, eye)
    return background


def _slow(rng: np.random.Generator, eye: Eye) -> NDArray[np.float32]:
    """Brightness about the disc and the macula's surroundings, darkness of the fovea, on a coarse grid."""
    y, x = coarse_coordinates(eye, 8)
    unit = eye.foveal_distance_px
    from_disc = ((y - eye.disc[0]) ** 2 + (x - eye.disc[1]) ** 2) / unit**2
    dy, dx = y - eye.fovea[0], x - eye.fovea[1]
    from_fovea = (dy**2 + dx**2) / unit**2
    slow = 0.85 + rng.uniform(0.05, 0.35) * np.exp(-from_disc / 3.0) + rng.uniform(0, 0.25) * np.exp(-from_disc / 0.25)
    slow += rng.uniform(-0.1, 0.25) * np.exp(-from_fovea / 4.0)
    depth = rng.uniform(0.25, 0.5)
    slow *= 1.0 - depth * np.exp(-from_fovea / rng.uniform(0.06, 0.16))
    slow *= 1.0 - rng.uniform(0.35, 0.7) * np.exp(-from_fovea / rng.uniform(0.006, 0.02))
    return enlarge(slow, eye.height, eye.width)


def paint_disc(rng: np.random.Generator, eye: Eye, base: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Add the disc, its bright ring or crescent and the glow about it to base, in place.

    In late frames the disc stains and the tissue about it glows, up to several times the background: not leakage.

    Returns the mask of the disc, (H, W) bool.
    """
    radius = eye.disc_radius_px
    reach = math.ceil(radius * 4.0)
    cy, cx = round(eye.disc[0]), round(eye.disc[1])
    y0, y1 = max(0, cy - reach), min(eye.height, cy + reach)
    x0, x1 = max(0, cx - reach), min(eye.width, cx + reach)
    dy = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(eye.disc[0])
    dx = (np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(eye.disc[1])) * np.float32(rng.uniform(1.0, 1.15))
    angle = np.arctan2(dy, dx)
    distance = np.sqrt(dy**2 + dx**2) / radius
    distance *= 1 + 0.05 * np.cos(angle * 2 + rng.uniform(0, 6)) + 0.03 * np.cos(angle * 3 + rng.uniform(0, 6))
    texture = octave_noise(rng, y1 - y0, x1 - x0, [(eye.px(26), 0.25), (eye.px(10), 0.22), (eye.px(5), 0.12)])
    plate = rng.uniform(0.4, 3.2) / (1 + np.exp(np.minimum((distance - 0.95) / 0.05, 60)))
    # the crescent lies nasally or temporally; a full ring is the case of no preferred side
    facing = eye.temporal_angle + rng.choice([0.0, math.pi, math.pi]) + rng.normal(0, 0.35)
    side = np.clip(0.5 + 0.5 * np.cos(angle - facing), 0, 1) ** rng.choice([0.4, 1.5, 3.0])
    band = (distance - rng.uniform(0.72, 0.95)) / rng.uniform(0.08, 0.2)
    ring = rng.uniform(0.8, 4.0) * side * np.exp(-(band**2))
    halo = rng.uniform(0.1, 1.3) * np.exp(-((distance / rng.uniform(1.3, 2.2)) ** rng.choice([2, 4])))
    base[y0:y1, x0:x1] += ((plate + ring) * np.exp(texture) + halo).astype(np.float32)
    mask = np.zeros(base.shape, bool)
    mask[y0:y1, x0:x1] = distance <= 1.0
    return mask


def paint_no_perfusion(rng: np.random.Generator, eye: Eye, base: NDArray[np.float32]) -> NDArray[np.float32]:
    """Darken peripheral areas without capillaries and blocked spots in base, in place.

    Returns (H, W) float32 in [0, 1]: share of fine vessels that is left; 1 where perfused.
    """
    y, x = coarse_coordinates(eye, 8)
    y, x = y / eye.height * 2 - 1, x / eye.width * 2 - 1
    rows, columns = len(y), x.shape[1]
    rim = np.sqrt(y**2 + x**2)
    wander = octave_noise(rng, rows, columns, [(columns / 7, 0.5), (columns / 18, 0.25), (columns / 50, 0.12)])
    level = rim * rng.uniform(0.6, 1.4) + wander - rng.uniform(1.5, 3.0)
    lost = 1 / (1 + np.exp(-np.clip(level / 0.05, -30, 30)))
    for _ in range(int(rng.poisson(1.2))):  # blocked: blood or pigment, small and round
        by, bx = rng.uniform(-0.7, 0.7, 2)
        size = rng.uniform(0.008, 0.03)
        spot = np.exp(-((((y - by) * eye.height / eye.width) ** 2 + (x - bx) ** 2) / size**2))
        lost = np.maximum(lost, spot)
    left = enlarge(1 - lost, eye.height, eye.width)
    base *= np.float32(1 - 0.4) + np.float32(0.4) * left
    return np.float32(0.25) + np.float32(0.75) * left
