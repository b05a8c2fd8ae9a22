"""Painters of single leaks: each returns one patch, shape (what the mask is cut from) and texture apart.

Every painter takes (rng, eye, centre (y, x) in px, radius in px) and returns a Patch.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.noise import octave_noise
from fundusrt_training.data.angiogram.patch import Patch, grid, lumps, place
from fundusrt_training.data.angiogram.raster import soften
from fundusrt_training.data.angiogram.vessels import VesselTree

__all__ = ["along_vessel", "bud", "cluster", "diffuse_macular", "frond", "haze", "microaneurysm", "petaloid"]


def _canvas(radius_px: float, reach: float) -> tuple[int, int]:
    """Side of a patch that holds reach radii, and the coarser side it is computed on."""
    size = max(8, math.ceil(2 * reach * radius_px))
    return size, min(size, max(48, size // 3))


def _blob(
    rng: np.random.Generator, size: int, reach: float, aspect: float, rough: float, soft: float
) -> NDArray[np.float32]:
    """A warped ellipse of mean radius 1 / reach of the half side, with a graded edge of relative width soft."""
    y, x = grid(size)
    turn = rng.uniform(0, math.pi)
    u = (y * math.cos(turn) + x * math.sin(turn)) * reach * math.sqrt(aspect)
    v = (-y * math.sin(turn) + x * math.cos(turn)) * reach / math.sqrt(aspect)
    warp = octave_noise(rng, size, size, [(size / 4, rough), (size / 9, rough * 0.6), (size / 22, rough * 0.35)])
    distance = np.sqrt(u**2 + v**2) + warp
    shape = 1 / (1 + np.exp(np.clip((distance - 1) / soft, -30, 30)))
    border = np.clip((1 - np.maximum(np.abs(y), np.abs(x))) * 8, 0, 1)  # nothing may be cut off straight
    return (shape * border).astype(np.float32)


def _cloudy(rng: np.random.Generator, size: int, scale: float, depth: float) -> NDArray[np.float32]:
    pitches = [(size / 5, 0.6), (size / 12, 0.5), (max(1.5, 9 * scale), 0.35), (max(1.2, 4 * scale), 0.22)]
    return np.exp(octave_noise(rng, size, size, pitches) * np.float32(depth))


def haze(rng: np.random.Generator, eye: Eye, centre: tuple[float, float], radius: float) -> Patch:
    """A cloud with graded edges, brighter inside."""
    size, small = _canvas(radius, 2.0)
    shape = _blob(rng, small, 2.0, rng.uniform(1, 2.2), rng.uniform(0.12, 0.32), rng.uniform(0.06, 0.2))
    texture = _cloudy(rng, small, eye.scale * small / size, rng.uniform(0.15, 0.5))
    return place(centre, shape, texture, size)


def cluster(rng: np.random.Generator, eye: Eye, centre: tuple[float, float], radius: float) -> Patch:
    """Several clouds of unequal size that touch or nearly so."""
    size, small = _canvas(radius, 2.2)
    shape = np.zeros((small, small), np.float32)
    for _ in range(int(rng.integers(3, 9))):
        part = max(8, int(small * rng.uniform(0.2, 0.6)))
        blob = _blob(rng, part, 2.0, rng.uniform(1, 2), rng.uniform(0.12, 0.3), rng.uniform(0.07, 0.2))
        blob *= np.float32(rng.uniform(0.65, 1.0))
        place_y, place_x = (rng.uniform(0.08, 0.92, 2) * (small - part)).astype(int)
        window = (slice(place_y, place_y + part), slice(place_x, place_x + part))
        shape[window] = np.maximum(shape[window], blob)
    texture = _cloudy(rng, small, eye.scale * small / size, rng.uniform(0.15, 0.5))
    return place(centre, shape, texture, size)


def along_vessel(rng: np.random.Generator, eye: Eye, tree: VesselTree, piece: int, radius: float) -> Patch | None:
    """A fuzzy sheath along the run of a vessel, radius = half its length."""
    run = np.flatnonzero(tree.path == tree.path[piece])
    gone = np.linalg.norm(tree.end[run] - tree.end[piece], axis=1)
    run = run[gone <= max(radius * 1.2, eye.px(25.0))]
    if len(run) < 2:
        return None
    sheath = tree.width[run].mean() * rng.uniform(1.2, 2.2) + eye.px(rng.uniform(8, 30))
    margin = 2.5 * sheath
    low = np.floor(np.minimum(tree.start[run], tree.end[run]).min(axis=0) - margin).astype(int)
    high = np.ceil(np.maximum(tree.start[run], tree.end[run]).max(axis=0) + margin).astype(int)
    rows, columns = (high - low).tolist()
    canvas = np.zeros((rows, columns), np.uint8)
    points = np.concatenate([tree.start[run][:1], tree.end[run]]) - low
    wide = 1 + 0.45 * octave_noise(rng, 1, len(points), [(3.0, 1.0)])[0]
    for a, b, w in zip(points[:-1], points[1:], wide[1:], strict=True):
        thick = max(1, round(sheath * float(np.clip(w, 0.35, 1.8))))
        cv2.line(
            canvas, (round(a[1] * 8), round(a[0] * 8)), (round(b[1] * 8), round(b[0] * 8)), 255, thick, cv2.LINE_AA, 3
        )
    shape = soften(canvas, sheath * rng.uniform(0.22, 0.45), 0.6).astype(np.float32)
    shape /= max(float(shape.max()), 1.0)
    shape *= np.clip(1 + 0.2 * octave_noise(rng, rows, columns, [(sheath, 1.0), (sheath / 2, 0.6)]), 0.2, 1.6)
    shape = np.minimum(shape, 1.0)
    texture = np.exp(octave_noise(rng, rows, columns, [(max(2.0, eye.px(14)), 0.2), (max(1.5, eye.px(5)), 0.15)]))
    return Patch(int(low[0]), int(low[1]), shape, texture)


def frond(rng: np.random.Generator, eye: Eye, centre: tuple[float, float], radius: float) -> Patch:
    """New vessels: a haze that holds bright lumps, brush strokes that fan out, or both, and sometimes dark holes."""
    size, _ = _canvas(radius, 1.9)
    shape = _blob(rng, size, 1.9, rng.uniform(1, 1.9), rng.uniform(0.15, 0.35), rng.uniform(0.06, 0.2))
    kind = rng.choice(3, p=[0.5, 0.3, 0.2])
    inner = np.zeros((size, size), np.float32)
    if kind != 1:
        count = 6 + int(min(26 * rng.uniform(0.5, 1.8) * (radius / eye.px(60)) ** 2, 300))
        inner += lumps(rng, size, count, (eye.px(3), eye.px(rng.uniform(7, 16))), rng.uniform(0.3, 0.5))
    if kind != 0:
        inner += _brush(rng, eye, size)
    inner = np.minimum(inner, np.float32(1.2))
    ground = rng.uniform(0.6, 0.95)  # bright enough that the outline shows between the lumps
    texture = np.float32(ground) + np.float32(rng.uniform(0.6, 1.3)) * inner
    texture *= _cloudy(rng, size, eye.scale, 0.25)
    if rng.random() < 0.35:
        holes = lumps(rng, size, int(rng.integers(1, 5)), (eye.px(5), eye.px(16)), 0.5)
        texture *= np.float32(1) - np.float32(0.75) * holes
    return place(centre, shape, texture, size)


def _brush(rng: np.random.Generator, eye: Eye, size: int) -> NDArray[np.float32]:
    """Strokes that start together and fan out, bent, thinning."""
    canvas = np.zeros((size, size), np.uint8)
    heading = rng.uniform(-math.pi, math.pi)
    root = (0.5 - 0.22 * np.array([math.sin(heading), math.cos(heading)])) * size
    for _ in range(int(rng.integers(7, 26))):
        y, x = root + rng.normal(0, 0.03, 2) * size
        at = heading + rng.normal(0, 0.5)
        bend = rng.normal(0, 0.9)
        length = size * rng.uniform(0.15, 0.5)
        wide = eye.px(rng.uniform(1.5, 5.5))
        grey = int(rng.integers(90, 240))
        for step in range(8):
            ny, nx = y + math.sin(at) * length / 8, x + math.cos(at) * length / 8
            thick = max(1, round(wide * (1 - 0.07 * step)))
            cv2.line(canvas, (round(x * 8), round(y * 8)), (round(nx * 8), round(ny * 8)), grey, thick, cv2.LINE_AA, 3)
            y, x, at = ny, nx, at + bend / 8 + rng.normal(0, 0.1)
    return soften(canvas, eye.px(rng.uniform(1.0, 2.5)), 0.5).astype(np.float32) / np.float32(255)


def microaneurysm(rng: np.random.Generator, eye: Eye, centre: tuple[float, float], radius: float) -> Patch:
    """A small round leak about a sharp dot; the halo, not the dot, makes it leakage."""
    size, _ = _canvas(radius, 2.6)
    shape = _blob(rng, size, 2.6, rng.uniform(1, 1.4), rng.uniform(0.05, 0.16), rng.uniform(0.15, 0.3))
    y, x = grid(size)
    dot = eye.px(rng.uniform(2.5, 5.5)) / (size / 2)
    texture = 0.9 + rng.uniform(0.6, 1.6) * np.exp(-(((y**2 + x**2) / dot**2) ** 2))
    return place(centre, shape, texture.astype(np.float32), size)


def petaloid(rng: np.random.Generator, eye: Eye, centre: tuple[float, float], radius: float) -> Patch:
    """Cystoid oedema: petals about a darker middle."""
    size, small = _canvas(radius, 1.9)
    y, x = grid(small)
    y, x = y * 1.9, x * 1.9
    petals = int(rng.integers(5, 10))
    angle = np.arctan2(y, x) + 0.25 * octave_noise(rng, small, small, [(small / 5, 1.0)])
    distance = np.sqrt(y**2 + x**2) * (1 + 0.12 * octave_noise(rng, small, small, [(small / 4, 1.0)]))
    wave = 0.5 + 0.5 * np.cos(petals * angle + rng.uniform(0, 6))
    outer = 1 / (1 + np.exp((distance - 0.75 - 0.3 * wave) / 0.07))
    inner = 1 / (1 + np.exp(-(distance - rng.uniform(0.12, 0.25)) / 0.05))
    shape = (outer * inner).astype(np.float32)
    texture = (0.55 + 0.6 * wave) * _cloudy(rng, small, eye.scale * small / size, 0.2)
    return place(centre, shape, texture.astype(np.float32), size)


def diffuse_macular(rng: np.random.Generator, eye: Eye, centre: tuple[float, float], radius: float) -> Patch:
    """A wide uneven haze about the macula, not centred on the fovea."""
    shift = rng.normal(0, 0.35, 2) * radius
    return haze(rng, eye, (centre[0] + float(shift[0]), centre[1] + float(shift[1])), radius)


def bud(rng: np.random.Generator, eye: Eye, centre: tuple[float, float], radius: float) -> Patch:
    """New vessels at the disc: a frond, smaller and denser."""
    return frond(rng, eye, centre, radius)
