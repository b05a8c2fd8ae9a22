"""Retinal vessels: trees grown from the disc in three generations, and their painting.

All tips of a generation advance together (arrays), steered by where blood has to go, by a smooth random drift and away
from what is already occupied. Calibres at a fork follow Murray's law, w0^3 = w1^3 + w2^3.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.eye import Eye

__all__ = ["VesselTree", "grow_vessels", "paint_vessels"]

_CELL_PX = 26.0  # native side of a cell of the occupancy grid
_WIDEST_PX = 22.0
_SHIFT = 4  # binary digits after the point of the coordinates given to OpenCV


@dataclasses.dataclass(frozen=True)
class VesselTree:
    """Straight pieces of all vessels, in px of the image.

    start, end: (N, 2) float32 (y, x). width: (N,) float32 px. path: (N,) int32, pieces of one unforked run, in order.
    generation: (N,) int8, 0 trunks, 1 side branches, 2 twigs. vein: (N,) bool.
    """

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    width: NDArray[np.float32]
    path: NDArray[np.int32]
    generation: NDArray[np.int8]
    vein: NDArray[np.bool_]


@dataclasses.dataclass
class _Tips:
    """State of growing ends; every field is (n,) but position (n, 2), in native px relative to the image's origin."""

    position: NDArray[np.float64]
    heading: NDArray[np.float64]
    width: NDArray[np.float64]
    drift: NDArray[np.float64]
    left_px: NDArray[np.float64]
    fork_in_px: NDArray[np.float64]
    vein: NDArray[np.bool_]
    path: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.heading)

    def keep(self, index: NDArray[np.bool_] | NDArray[np.int64]) -> _Tips:
        return _Tips(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))

    def joined(self, other: _Tips) -> _Tips:
        return _Tips(
            *(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in dataclasses.fields(self))
        )


@dataclasses.dataclass(frozen=True)
class _Habit:
    """How one generation grows; lengths in native px, angles in radians."""

    step_px: float
    drift: float
    follow: float
    avoid: float
    fork_px: float
    min_width_px: float
    crowd: float
    look_px: float
    taper: float


_TRUNK = _Habit(20.0, 0.06, 0.09, 0.22, 310.0, 2.7, 99.0, 190.0, 0.00016)
_BRANCH = _Habit(13.0, 0.10, 0.02, 0.14, 120.0, 2.0, 1.55, 60.0, 0.0009)
_TWIG = _Habit(9.0, 0.12, 0.0, 0.14, 60.0, 1.5, 1.6, 45.0, 0.001)


def grow_vessels(rng: np.random.Generator, eye: Eye) -> VesselTree:
    """Grow the vessels of one eye over the whole frame (the field of view cuts them later)."""
    ground = _Ground(eye)
    pieces: list[tuple[NDArray[np.float64], ...]] = []
    paths = 0
    tips = _trunks(rng, eye)
    for generation, habit in enumerate((_TRUNK, _BRANCH, _TWIG)):
        tips.path = tips.path + paths
        grown, paths = _grow(rng, ground, tips, habit, paths + len(tips))
        pieces.append((*grown, np.full(len(grown[0]), generation)))
        if generation == 0:
            tips = _side_branches(rng, ground, grown, every_px=120.0)
        elif generation == 1:
            tips = _twigs(rng, ground, grown, every_px=60.0)
    start, end, width, path, vein, generation_of = (np.concatenate(column) for column in zip(*pieces, strict=True))
    scale = eye.scale
    return VesselTree(
        (start * scale).astype(np.float32),
        (end * scale).astype(np.float32),
        (width * scale).astype(np.float32),
        path.astype(np.int32),
        generation_of.astype(np.int8),
        vein.astype(bool),
    )


class _Ground:
    """The retina in native px: frame, disc, fovea, and how crowded each cell already is."""

    def __init__(self, eye: Eye) -> None:
        self.size = np.array([eye.height, eye.width]) / eye.scale
        self.disc = np.array(eye.disc) / eye.scale
        self.fovea = np.array(eye.fovea) / eye.scale
        self.distance = eye.foveal_distance_px / eye.scale
        self.temporal = eye.temporal_angle
        rows, columns = (np.ceil(self.size / _CELL_PX) + 2).astype(int)
        self.count = np.zeros((rows, columns), np.float32)
        self.crowd = self.wide_crowd = self.count

    def cells(self, position: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        cell = (position / _CELL_PX).astype(np.int64) + 1
        return np.clip(cell[:, 0], 0, self.count.shape[0] - 1), np.clip(cell[:, 1], 0, self.count.shape[1] - 1)

    def occupy(self, position: NDArray[np.float64], amount: NDArray[np.float64]) -> None:
        np.add.at(self.count, self.cells(position), amount.astype(np.float32))
        self.crowd = cv2.GaussianBlur(self.count, (5, 5), 1.0)
        self.wide_crowd = cv2.GaussianBlur(self.count, (15, 15), 3.0)

    def crowd_at(self, position: NDArray[np.float64], look_px: float = 0.0) -> NDArray[np.float32]:
        return (self.wide_crowd * 6 if look_px > 100 else self.crowd)[self.cells(position)]

    def pull(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """How strictly a vessel keeps to the flow: more so close to the macula, which all go round."""
        far = np.linalg.norm(position - self.fovea, axis=1) / self.distance
        return 1.0 + 2.5 * np.exp(-(far**2))

    def flow(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heading a trunk wants: away from the disc, round the macula, then more and more along the temporal axis."""
        away = position - self.disc
        away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
        beside = position - self.fovea
        far = np.linalg.norm(beside, axis=1, keepdims=True) + 1e-9
        away += beside / far * 1.3 * np.exp(-((far / (0.72 * self.distance)) ** 2))
        axis = np.array([math.sin(self.temporal), math.cos(self.temporal)])
        along = (beside @ axis)[:, None] / self.distance
        normal = np.array([axis[1], -axis[0]])
        across = (beside @ normal)[:, None] / self.distance
        away += axis * np.clip(along + 0.85, 0.0, 1.4) * 0.9 * np.exp(-((across / 2.2) ** 2))
        away -= normal * across * 0.85 * np.exp(-((across / 2.0) ** 2)) * np.clip(along + 0.2, 0.0, 1.1)
        return np.arctan2(away[:, 0], away[:, 1])


def _trunks(rng: np.random.Generator, eye: Eye) -> _Tips:
    """Ends that leave the disc: arcades, nasal and radial trunks, thin macular vessels; artery and vein of each."""
    degrees: list[float] = []
    widths: list[float] = []
    veins: list[bool] = []
    for side in (-1.0, 1.0):
        plan = [
            (rng.uniform(40, 56), rng.uniform(16, 20)),
            (rng.uniform(58, 74), rng.uniform(18, 22)),
            (rng.uniform(82, 98), rng.uniform(10, 15)),
            (rng.uniform(110, 125), rng.uniform(12, 17)),
            (rng.uniform(128, 145), rng.uniform(11, 16)),
            (rng.uniform(150, 172), rng.uniform(8, 13)),
            (rng.uniform(28, 40), rng.uniform(10, 14)),
            (rng.uniform(16, 28), rng.uniform(4.6, 6)),
            (rng.uniform(3, 14), rng.uniform(4.3, 5.5)),
        ]
        plan += [(rng.uniform(60, 178), rng.uniform(5.5, 9)) for _ in range(rng.integers(0, 3))]
        for order, (degree, width) in enumerate(plan):
            degrees.append(side * degree)
            widths.append(width)
            veins.append(order % 2 == 1)
    n = len(degrees)
    heading = np.radians(degrees) + eye.temporal_angle
    width = np.array(widths)
    reach = eye.disc_radius_px / eye.scale * rng.uniform(0.05, 0.4, n)
    origin = np.array(eye.disc) / eye.scale
    position = origin + reach[:, None] * np.stack([np.sin(heading), np.cos(heading)], axis=1)
    return _Tips(
        position, heading, width, np.zeros(n), np.full(n, 9000.0), rng.uniform(150, 700, n), np.array(veins),
        np.arange(n),
    )


def _grow(
    rng: np.random.Generator, ground: _Ground, tips: _Tips, habit: _Habit, paths: int
) -> tuple[tuple[NDArray[np.float64], ...], int]:
    """Advance all tips until they end.

    Returns (start, end, width, path, vein) of the pieces, and the next path number.
    """
    log: list[tuple[NDArray[np.float64], ...]] = []
    step = habit.step_px
    for _ in range(600):
        if not len(tips):
            break
        n = len(tips)
        tips.drift = 0.80 * tips.drift + rng.normal(0, habit.drift, n)
        turn = tips.drift * 0.6
        if habit.follow:
            turn += habit.follow * ground.pull(tips.position) * np.sin(ground.flow(tips.position) - tips.heading)
        if habit.avoid:
            ahead = [
                ground.crowd_at(tips.position + habit.look_px * _unit(tips.heading + side), habit.look_px)
                for side in (-0.75, 0.75)
            ]
            turn += habit.avoid * np.clip(ahead[0] - ahead[1], -1.0, 1.0)
        tips.heading = tips.heading + turn
        ahead_of = tips.position + step * _unit(tips.heading)
        log.append((tips.position, ahead_of, tips.width, tips.path, tips.vein))
        tips.position = ahead_of
        tips.width = tips.width * (1.0 - habit.taper * step)
        tips.left_px = tips.left_px - step
        tips.fork_in_px = tips.fork_in_px - step
        inside = ((ahead_of > -60) & (ahead_of < ground.size + 60)).all(axis=1)
        avascular = np.linalg.norm(ahead_of - ground.fovea, axis=1) > 0.17 * ground.distance
        alive = inside & avascular & (tips.left_px > 0) & (tips.width > habit.min_width_px)
        if habit.crowd < 50:
            alive &= ground.crowd_at(ahead_of + 1.6 * _CELL_PX * _unit(tips.heading)) < habit.crowd
        ground.occupy(ahead_of, np.full(n, step / _CELL_PX * 0.8))
        tips = tips.keep(alive)
        forks = tips.fork_in_px <= 0
        if forks.any():
            child = tips.keep(forks)
            m = len(child)
            share = rng.uniform(0.72, 0.95, m)
            spread = rng.uniform(0.45, 1.0, m)
            # the smaller vessel of a fork goes where there is more room
            room = [
                ground.crowd_at(child.position + 2 * habit.look_px * _unit(child.heading + s), habit.look_px)
                for s in (-0.8, 0.8)
            ]
            side = np.where(room[0] < room[1], -1.0, 1.0) * np.where(rng.random(m) < 0.12, -1.0, 1.0)
            child.width = child.width * (1.0 - share**3) ** (1 / 3)
            child.heading = child.heading + side * spread * 0.72
            child.drift = np.zeros(m)
            child.fork_in_px = habit.fork_px * rng.uniform(0.3, 1.7, m)
            child.left_px = child.left_px * rng.uniform(0.5, 1.0, m)
            child.path = paths + np.arange(m)
            tips.width[forks] *= share
            tips.heading[forks] -= side * spread * 0.28
            tips.fork_in_px[forks] = habit.fork_px * rng.uniform(0.4, 1.7, m)
            paths += m
            tips = tips.joined(child.keep(child.width > habit.min_width_px))
    columns = tuple(np.concatenate(column) for column in zip(*log, strict=True))
    return columns, paths


def _unit(heading: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.sin(heading), np.cos(heading)], axis=1)


def _sprout(
    rng: np.random.Generator, grown: tuple[NDArray[np.float64], ...], chance: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pieces that get a side branch, and the branch's heading: 40 to 90 degrees off the parent."""
    start, end = grown[0], grown[1]
    index = np.flatnonzero(rng.random(len(start)) < chance)
    along = end[index] - start[index]
    heading = np.arctan2(along[:, 0], along[:, 1])
    return index, heading + rng.choice([-1.0, 1.0], len(index)) * rng.uniform(0.7, 1.5, len(index))


def _side_branches(
    rng: np.random.Generator, ground: _Ground, grown: tuple[NDArray[np.float64], ...], every_px: float
) -> _Tips:
    width = grown[2]
    far = np.linalg.norm(grown[0] - ground.disc, axis=1)
    chance = _TRUNK.step_px / every_px * np.clip((far - 150) / 200, 0, 1)
    index, heading = _sprout(rng, grown, chance)
    n = len(index)
    fresh = np.clip(width[index] * rng.uniform(0.25, 0.55, n), 2.4, 6.0)
    return _Tips(
        grown[0][index], heading, fresh, np.zeros(n), rng.gamma(2.2, 130.0, n) + 60, rng.uniform(40, 160, n),
        grown[4][index].astype(bool), np.arange(n),
    )


def _twigs(
    rng: np.random.Generator, ground: _Ground, grown: tuple[NDArray[np.float64], ...], every_px: float
) -> _Tips:
    index, heading = _sprout(rng, grown, np.full(len(grown[0]), _BRANCH.step_px / every_px))
    n = len(index)
    fresh = np.clip(grown[2][index] * rng.uniform(0.5, 0.8, n), 1.7, 2.8)
    return _Tips(
        grown[0][index], heading, fresh, np.zeros(n), rng.gamma(2.0, 45.0, n) + 20, rng.uniform(30, 120, n),
        grown[4][index].astype(bool), np.arange(n),
    )


def paint_vessels(tree: VesselTree, eye: Eye) -> NDArray[np.uint8]:
    """Paint the vessels. Returns (H, W) uint8, brightness over the background, 255 = the widest vessel."""
    canvas = np.zeros((eye.height, eye.width), np.uint8)
    native = tree.width / np.float32(eye.scale)
    bright = np.clip((native / _WIDEST_PX) ** 0.9, 0.0, 1.0)
    thick = np.maximum(1, np.ceil(tree.width - 0.25)).astype(np.int64)
    # a line cannot be drawn thinner than one pixel: it is drawn fainter
    bright = bright * np.minimum(1.0, tree.width / thick) ** 0.7
    level = np.clip(np.round(bright * 24), 1, 24).astype(np.int64)
    ends = np.stack([tree.start[:, ::-1], tree.end[:, ::-1]], axis=1)
    fixed = np.round(ends * (1 << _SHIFT)).astype(np.int32)
    for key in np.unique(level * 64 + thick):
        chosen = fixed[(level * 64 + thick) == key]
        grey = round(float(key // 64) / 24 * 255)
        cv2.polylines(canvas, list(chosen), False, grey, int(key % 64), cv2.LINE_AA, _SHIFT)
    sigma = max(0.45, 1.25 * eye.scale)
    return cv2.GaussianBlur(canvas, (0, 0), sigma)
