"""What looks like leakage and is not: all of it has mask 0."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.config import AngiogramConfig
from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.noise import octave_noise
from fundusrt_training.data.angiogram.patch import Patch, grid, place
from fundusrt_training.data.angiogram.raster import coarse_coordinates, enlarge, soften
from fundusrt_training.data.angiogram.vessels import VesselTree

__all__ = ["paint_confusers"]


def paint_confusers(
    rng: np.random.Generator, eye: Eye, tree: VesselTree, base: NDArray[np.float32], config: AngiogramConfig
) -> dict[str, NDArray[np.bool_]]:
    """Add look-alikes of leakage to base, (H, W) float32 in units of the background, in place.

    Returns where they are: "reflections", "rim_glow", "dots" (microaneurysms, specks, scars, window defects).
    """
    rate = config.confuser_rate
    dots = np.zeros(base.shape, np.uint8)
    glow = _rim_glow(rng, eye, base) if rng.random() < 0.55 * min(rate, 1.8) else np.zeros(base.shape, bool)
    if rng.random() < 0.25 * min(rate, 4.0):
        _ghost(rng, eye, base)
    reflections = np.zeros(base.shape, bool)
    if rng.random() < 0.5 * min(rate, 2.0):
        reflections = _reflections(rng, eye, tree, base)
    for paint, mean in ((_microaneurysms, 1.0), (_specks, 0.6), (_scars, 0.25), (_window_defects, 0.8)):
        if rng.random() < min(1.0, mean * rate):
            paint(rng, eye, tree, dots)
    dots = soften(dots, 1.0 * eye.scale)
    base += dots.astype(np.float32) * np.float32(1 / 50)  # 50 grey levels of this layer = one unit of background
    if rng.random() < min(1.0, 0.5 * rate):
        _dust(rng, eye, base)
    return {"reflections": reflections, "rim_glow": glow, "dots": dots > 12}


def _random_places(
    rng: np.random.Generator, eye: Eye, tree: VesselTree, count: int, jitter: float
) -> list[tuple[float, float]]:
    """Places beside random vessels, crowded about a few centres."""
    inside = np.flatnonzero((tree.end > 0).all(axis=1) & (tree.end[:, 0] < eye.height) & (tree.end[:, 1] < eye.width))
    if not len(inside):
        return []
    chosen = tree.end[rng.choice(inside, count)] + rng.normal(0, jitter, (count, 2))
    return [(float(y), float(x)) for y, x in chosen]


def _circle(canvas: NDArray[np.uint8], place_: tuple[float, float], radius: float, grey: int, thick: int = -1) -> None:
    y, x = place_
    cv2.circle(canvas, (round(x * 8), round(y * 8)), max(1, round(radius * 8)), grey, thick, cv2.LINE_AA, 3)


def _microaneurysms(rng: np.random.Generator, eye: Eye, tree: VesselTree, dots: NDArray[np.uint8]) -> None:
    """Sharp bright dots 5 to 15 px wide without a halo."""
    for spot in _random_places(rng, eye, tree, int(rng.gamma(0.8, 40)) + 2, eye.px(20)):
        _circle(dots, spot, eye.px(rng.uniform(1.8, 5.5)), int(rng.integers(25, 130)))


def _specks(rng: np.random.Generator, eye: Eye, tree: VesselTree, dots: NDArray[np.uint8]) -> None:
    """Faint scattered foci: fields of tiny specks of low contrast."""
    for centre in _random_places(rng, eye, tree, int(rng.integers(1, 6)), eye.px(40)):
        spread = eye.px(rng.uniform(40, 220))
        for _ in range(int(rng.integers(15, 130))):
            y, x = np.array(centre) + rng.normal(0, spread, 2) * (1.0, 0.7)
            _circle(dots, (float(y), float(x)), eye.px(rng.uniform(1.2, 4.0)), int(rng.integers(8, 32)))


def _scars(rng: np.random.Generator, eye: Eye, tree: VesselTree, dots: NDArray[np.uint8]) -> None:
    """Laser scars: a loose grid of rings and discs with sharp edges."""
    for centre in _random_places(rng, eye, tree, int(rng.integers(1, 4)), eye.px(60)):
        pitch = eye.px(rng.uniform(38, 70))
        side = int(rng.integers(3, 8))
        turn = rng.uniform(0, math.pi)
        ring = rng.random() < 0.6
        for row in range(side):
            for column in range(side):
                v, u = (row - side / 2) * pitch + rng.normal(0, pitch / 6), (column - side / 2) * pitch
                spot = (
                    centre[0] + v * math.cos(turn) - u * math.sin(turn),
                    centre[1] + v * math.sin(turn) + u * math.cos(turn),
                )
                radius = eye.px(rng.uniform(9, 19))
                grey = int(rng.integers(25, 80))
                _circle(dots, spot, radius, grey, max(1, round(eye.px(4))) if ring else -1)


def _window_defects(rng: np.random.Generator, eye: Eye, tree: VesselTree, dots: NDArray[np.uint8]) -> None:
    """Window defects and staining: flat patches with sharp ragged edges, no haze around."""
    for centre in _random_places(rng, eye, tree, int(rng.poisson(2.5)), eye.px(80)):
        size = max(6, round(eye.px(rng.uniform(25, 150))))
        y, x = grid(size)
        rough = octave_noise(rng, size, size, [(size / 4, 0.3), (size / 9, 0.2), (size / 20, 0.15)])
        inside = (np.sqrt((y * rng.uniform(1.2, 2.2)) ** 2 + (x * 1.3) ** 2) + rough) < 0.8
        grey = rng.uniform(14, 60)
        flat = Patch(
            round(centre[0]), round(centre[1]), inside.astype(np.float32) * np.float32(grey), inside.astype(np.float32)
        ).cropped(eye)
        if flat is not None:
            dots[flat.window] = np.maximum(dots[flat.window], flat.shape.astype(np.uint8))


def _rim_glow(rng: np.random.Generator, eye: Eye, base: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Peripheral hyperfluorescence: a broad smooth arc of glow beside the rim."""
    y, x = coarse_coordinates(eye, 8)
    y, x = y / eye.height * 2 - 1, x / eye.width * 2 - 1
    rows, columns = len(y), x.shape[1]
    angle = np.arctan2(y, x)
    distance = np.sqrt(y**2 + x**2) + 0.06 * octave_noise(rng, rows, columns, [(columns / 6, 1.0)])
    total = np.zeros((rows, columns), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        off = np.angle(np.exp(1j * (angle - rng.uniform(-math.pi, math.pi)))).astype(np.float32)
        arc = np.exp(-((off / rng.uniform(0.25, 0.9)) ** 2))
        ring = np.exp(-(((distance - rng.uniform(0.78, 1.05)) / rng.uniform(0.06, 0.2)) ** 2))
        total += rng.uniform(0.35, 1.8) * arc * ring
    total *= np.exp(0.12 * octave_noise(rng, rows, columns, [(columns / 20, 1.0), (columns / 60, 0.6)]))
    glow = enlarge(total, eye.height, eye.width)
    base += glow
    return glow > 0.3


def _ghost(rng: np.random.Generator, eye: Eye, base: NDArray[np.float32]) -> None:
    """Optical ghost: a faint disc or ring with an even edge, the image of a pupil inside the camera."""
    size = max(8, round(eye.px(rng.uniform(250, 900))))
    small = min(size, 160)
    y, x = grid(small)
    distance = np.sqrt(y**2 + (x * rng.uniform(1, 1.4)) ** 2)
    shape = 1 / (1 + np.exp((distance - 0.8) / 0.03))
    if rng.random() < 0.5:
        shape *= 1 / (1 + np.exp(-(distance - 0.55) / 0.06))
    centre = (eye.height * rng.uniform(0.2, 0.8), eye.width * rng.uniform(0.2, 0.8))
    ghost = place(centre, shape.astype(np.float32), np.ones((small, small), np.float32), size).cropped(eye)
    if ghost is not None:
        base[ghost.window] += ghost.shape * np.float32(rng.uniform(0.12, 0.4))


def _reflections(rng: np.random.Generator, eye: Eye, tree: VesselTree, base: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Reflections along large vessels: bright bands with sharp sides beside and parallel to the vessel."""
    canvas = np.zeros(base.shape, np.uint8)
    trunks = np.flatnonzero((tree.generation == 0) & (tree.width > eye.px(8)))
    if not len(trunks):
        return canvas > 0
    for path in rng.choice(np.unique(tree.path[trunks]), int(rng.integers(1, 7))):
        run = trunks[tree.path[trunks] == path]
        if len(run) < 6:
            continue
        first = int(rng.integers(0, len(run) - 5))
        run = run[first : first + int(rng.integers(5, 30))]
        along = tree.end[run] - tree.start[run]
        across = np.stack([along[:, 1], -along[:, 0]], axis=1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-6)
        sides = rng.choice([-1.0, 1.0], 1) if rng.random() < 0.5 else np.array([-1.0, 1.0])
        gap = float(tree.width[run].mean()) * 0.5 + eye.px(rng.uniform(3, 12))
        thick = max(1, round(eye.px(rng.uniform(4, 16))))
        grey = int(rng.integers(15, 75))
        for side in sides:
            line = tree.end[run] + across * (side * gap)
            fixed = np.round(line[:, ::-1] * 16).astype(np.int32)
            cv2.polylines(canvas, [fixed], False, grey, thick, cv2.LINE_AA, 4)
    canvas = soften(canvas, 1.4 * eye.scale)
    base += canvas.astype(np.float32) * np.float32(1 / 50)
    return canvas > 8


def _dust(rng: np.random.Generator, eye: Eye, base: NDArray[np.float32]) -> None:
    """Specks of dust in the beam: small soft dark spots."""
    for _ in range(int(rng.integers(1, 6))):
        size = max(6, round(eye.px(rng.uniform(20, 110))))
        y, x = grid(size)
        dark = rng.uniform(0.15, 0.6) * np.exp(-((y**2 + x**2) / 0.3))
        centre = (eye.height * rng.uniform(0.1, 0.9), eye.width * rng.uniform(0.1, 0.9))
        spot = place(centre, (1 - dark).astype(np.float32), np.ones((size, size), np.float32), size).cropped(eye)
        if spot is not None:
            base[spot.window] *= spot.shape
