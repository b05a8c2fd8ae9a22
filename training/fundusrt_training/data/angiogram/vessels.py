"""Retinal vessels: trees grown from the disc, trunks first, then side branches, twigs and tufts.

All tips of a generation advance together (arrays), steered by where blood is lacking, by the flow round the macula, by
a smooth random drift and away from what is already occupied. Calibres at a fork follow Murray's law,
w0^3 = w1^3 + w2^3 (Murray, The physiological principle of minimum work, 1926).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.ground import CELL_PX, Ground

__all__ = ["VesselTree", "grow_vessels"]

_MAX_STEPS = 600


@dataclasses.dataclass(frozen=True)
class VesselTree:
    """Straight pieces of all vessels, in px of the image.

    start, end: (N, 2) float32 (y, x). width: (N,) float32 px. path: (N,) int32, number of the unforked run it is in.
    generation: (N,) int8, 0 trunks, 1 side branches, 2 twigs, 3 tufts. vein: (N,) bool.
    """

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    width: NDArray[np.float32]
    path: NDArray[np.int32]
    generation: NDArray[np.int8]
    vein: NDArray[np.bool_]


@dataclasses.dataclass
class _Tips:
    """State of n growing ends, native px and radians; heading is atan2(dy, dx)."""

    position: NDArray[np.float64]
    heading: NDArray[np.float64]
    width: NDArray[np.float64]
    left_px: NDArray[np.float64]
    fork_in_px: NDArray[np.float64]
    vein: NDArray[np.bool_]
    drift: NDArray[np.float64]
    path: NDArray[np.int64]
    age: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.heading)

    def keep(self, index: NDArray[np.bool_]) -> _Tips:
        return _Tips(*(getattr(self, field.name)[index] for field in dataclasses.fields(self)))

    def joined(self, other: _Tips) -> _Tips:
        return _Tips(
            *(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in dataclasses.fields(self))
        )


def _new_tips(
    position: NDArray[np.float64],
    heading: NDArray[np.float64],
    width: NDArray[np.float64],
    left_px: NDArray[np.float64],
    fork_in_px: NDArray[np.float64],
    vein: NDArray[np.bool_],
) -> _Tips:
    n = len(heading)
    return _Tips(position, heading, width, left_px, fork_in_px, vein, np.zeros(n), np.arange(n), np.zeros(n, np.int64))


@dataclasses.dataclass(frozen=True)
class _Habit:
    """How one generation grows; lengths in native px, turns in radians a step.

    drift: random turning. follow: pull of the flow. demand: pull of places without blood (0: none). avoid: turning
    away from crowding. fork_px: mean distance of forks. taper: loss of width a px. crowd: where growth ends.
    """

    step_px: float
    drift: float
    follow: float
    demand: float
    avoid: float
    fork_px: float
    min_width_px: float
    taper: float
    crowd: float


_TRUNK = _Habit(20.0, 0.065, 0.035, 0.10, 0.05, 400.0, 2.8, 0.0002, np.inf)
_BRANCH = _Habit(12.0, 0.15, 0.02, 0.0, 0.14, 120.0, 1.8, 0.0005, 2.4)
_TWIG = _Habit(8.0, 0.20, 0.0, 0.0, 0.12, 50.0, 1.3, 0.0005, 2.8)
_TUFT = _Habit(7.0, 0.14, 0.0, 0.0, 0.0, 60.0, 1.0, 0.0010, 5.0)


@dataclasses.dataclass(frozen=True)
class _Pieces:
    """What has grown: start, end (n, 2), width, path, vein (n,), native px."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    width: NDArray[np.float64]
    path: NDArray[np.int64]
    vein: NDArray[np.bool_]

    def before_end(self) -> NDArray[np.int64]:
        """For each piece, how many pieces of its path come after it."""
        order = np.lexsort((np.arange(len(self.path)), self.path))
        _, first, count = np.unique(self.path[order], return_index=True, return_counts=True)
        after = np.empty(len(order), np.int64)
        after[order] = np.repeat(first + count - 1, count) - np.arange(len(order))
        return after


def grow_vessels(rng: np.random.Generator, eye: Eye) -> VesselTree:
    """Grow the vessels of one eye over the whole frame (the field of view cuts them later)."""
    ground = Ground(rng, eye)
    grown: list[_Pieces] = []
    paths = 0
    tips = _trunks(rng, eye)
    for generation, habit in enumerate((_TRUNK, _BRANCH, _TWIG, _TUFT)):
        if generation == 1:
            tips = _side_branches(rng, ground, grown[0])
        elif generation == 2:
            tips = _twigs(rng, grown[1])
        elif generation == 3:
            tips = _tufts(rng, ground, grown[1])
        tips.path = tips.path + paths
        pieces, paths = _grow(rng, ground, tips, habit, paths + len(tips))
        grown.append(pieces)
    scale = eye.scale
    return VesselTree(
        np.concatenate([p.start for p in grown]).astype(np.float32) * np.float32(scale),
        np.concatenate([p.end for p in grown]).astype(np.float32) * np.float32(scale),
        np.concatenate([_thinned(p, h) for p, h in zip(grown, (_TRUNK, _BRANCH, _TWIG, _TUFT), strict=True)]).astype(
            np.float32
        )
        * np.float32(scale),
        np.concatenate([p.path for p in grown]).astype(np.int32),
        np.repeat(np.arange(4, dtype=np.int8), [len(p.path) for p in grown]),
        np.concatenate([p.vein for p in grown]),
    )


def _thinned(pieces: _Pieces, habit: _Habit) -> NDArray[np.float64]:
    """Widths with every path thinning out towards its end."""
    return pieces.width * np.clip((pieces.before_end() + 1.0) * habit.step_px / 80.0, 0.5, 1.0)


def _trunks(rng: np.random.Generator, eye: Eye) -> _Tips:
    """Ends that leave the disc: arcades, nasal and radial trunks, thin macular vessels, veins and arteries in turn."""
    plan: list[tuple[float, float]] = []
    for side in (-1.0, 1.0):
        half = [
            (rng.uniform(40, 56), rng.uniform(14, 18)),
            (rng.uniform(58, 74), rng.uniform(15, 20)),
            (rng.uniform(82, 98), rng.uniform(10, 15)),
            (rng.uniform(110, 125), rng.uniform(12, 17)),
            (rng.uniform(128, 145), rng.uniform(11, 16)),
            (rng.uniform(150, 172), rng.uniform(8, 13)),
            (rng.uniform(28, 40), rng.uniform(10, 14)),
            (rng.uniform(16, 28), rng.uniform(4.6, 6)),
            (rng.uniform(3, 14), rng.uniform(4.3, 5.5)),
            (rng.uniform(8, 20), rng.uniform(4.0, 5.0)),
        ]
        half += [(rng.uniform(60, 178), rng.uniform(5.5, 9)) for _ in range(int(rng.integers(0, 3)))]
        plan += [(side * degree, width) for degree, width in half]
    n = len(plan)
    heading = np.radians([degree for degree, _ in plan]) + eye.temporal_angle
    width = np.array([width for _, width in plan])
    reach = eye.disc_radius_px / eye.scale * rng.uniform(0.05, 0.4, n)
    position = np.array(eye.disc) / eye.scale + reach[:, None] * _unit(heading)
    return _new_tips(position, heading, width, np.full(n, 9e3), rng.uniform(150, 700, n), np.arange(n) % 2 == 1)


def _grow(rng: np.random.Generator, ground: Ground, tips: _Tips, habit: _Habit, paths: int) -> tuple[_Pieces, int]:
    """Advance all tips until they end. Returns the pieces and the next path number."""
    log = [(tips.position[:0], tips.position[:0], tips.width[:0], tips.path[:0], tips.vein[:0])]
    step = habit.step_px
    for _ in range(_MAX_STEPS):
        if not len(tips):
            break
        tips.heading = tips.heading + _turn(rng, ground, tips, habit)
        end = tips.position + step * _unit(tips.heading)
        log.append((tips.position, end, tips.width, tips.path, tips.vein))
        alive = ~ground.outside(end) & ~ground.near_fovea(end) & (tips.left_px > step)
        alive &= tips.width > habit.min_width_px
        if np.isfinite(habit.crowd):
            alive &= ground.crowd(end + 1.6 * CELL_PX * _unit(tips.heading)) < habit.crowd
            alive &= (tips.age < 3) | ~ground.taken(end, tips.path)  # meets another vessel: joins it
        ground.occupy(tips.position, end, tips.path)
        tips.position = end
        tips.width = tips.width * (1.0 - habit.taper * step)
        tips.left_px = tips.left_px - step
        tips.fork_in_px = tips.fork_in_px - step
        tips.age = tips.age + 1
        tips = tips.keep(alive)
        tips, paths = _fork(rng, ground, tips, habit, paths)
    return _Pieces(*(np.concatenate(column) for column in zip(*log, strict=True))), paths


def _turn(rng: np.random.Generator, ground: Ground, tips: _Tips, habit: _Habit) -> NDArray[np.float64]:
    """Turn of each tip in its next step; where nothing asks for a trunk it thins out, where much does it forks."""
    tips.drift = 0.80 * tips.drift + rng.normal(0, habit.drift, len(tips))
    turn = 0.6 * tips.drift
    if habit.follow:
        off = ground.flow(tips.position) - tips.heading
        turn += habit.follow * ground.strictness(tips.position) * np.sin(off)
    if habit.demand:
        asked, spread, useful = ground.demand(tips.position, tips.heading, tips.width, tips.vein)
        turn += habit.demand * np.clip(asked, -0.9, 0.9)
        tips.width = np.where(useful, tips.width, tips.width * 0.955)
        tips.fork_in_px = np.where((spread > 0.38) & (tips.fork_in_px < 250), -1.0, tips.fork_in_px)
        tips.fork_in_px = np.where((spread < 0.25) & (tips.fork_in_px < 21), 21.0, tips.fork_in_px)
    if habit.avoid:
        left, right = _room(ground, tips, habit, 1.0)
        turn += habit.avoid * np.clip(left - right, -1.0, 1.0)
    return turn


def _room(ground: Ground, tips: _Tips, habit: _Habit, reach: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Crowding ahead to the left and to the right (angles smaller and larger than the heading)."""
    look_px, crowd = (260.0, ground.wide_crowd) if habit is _TRUNK else (55.0, ground.crowd)
    left, right = (crowd(tips.position + reach * look_px * _unit(tips.heading + side)) for side in (-0.75, 0.75))
    return left, right


def _fork(rng: np.random.Generator, ground: Ground, tips: _Tips, habit: _Habit, paths: int) -> tuple[_Tips, int]:
    """Fork the tips whose time has come; the smaller vessel of a fork mostly goes where there is more room."""
    forks = tips.fork_in_px <= 0
    if not forks.any():
        return tips, paths
    child = tips.keep(forks)
    n = len(child)
    share = rng.uniform(0.72, 0.95, n)
    spread = rng.uniform(0.45, 1.0, n)
    left, right = _room(ground, child, habit, 2.0)
    side = np.where(left < right, -1.0, 1.0) * np.where(rng.random(n) < 0.12, -1.0, 1.0)
    child.width = child.width * (1.0 - share**3) ** (1 / 3)
    child.heading = child.heading + side * spread * 0.68
    child.drift = np.zeros(n)
    child.fork_in_px = habit.fork_px * rng.uniform(0.3, 1.7, n)
    child.left_px = child.left_px * rng.uniform(0.5, 1.0, n)
    child.path = paths + np.arange(n)
    child.age = np.zeros(n, np.int64)
    tips.width[forks] *= share
    tips.heading[forks] -= side * spread * 0.40
    tips.fork_in_px[forks] = habit.fork_px * rng.uniform(0.4, 1.7, n)
    return tips.joined(child.keep(child.width > habit.min_width_px)), paths + n


def _unit(heading: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.sin(heading), np.cos(heading)], axis=1)


def _along(pieces: _Pieces, index: NDArray[np.int64]) -> NDArray[np.float64]:
    step = pieces.end[index] - pieces.start[index]
    return np.arctan2(step[:, 0], step[:, 1])


def _side_branches(rng: np.random.Generator, ground: Ground, trunks: _Pieces) -> _Tips:
    """Branches off the trunks, 40 to 90 degrees to them."""
    far = np.linalg.norm(trunks.start - ground.disc, axis=1)
    to_fovea = ground.fovea - trunks.start
    macular = np.linalg.norm(to_fovea, axis=1) < 1.45 * ground.distance
    chance = _TRUNK.step_px / np.where(macular, 45.0, 70.0) * np.clip((far - 150) / 200, 0, 1)
    index = np.flatnonzero(rng.random(len(chance)) < chance)
    n = len(index)
    heading = _along(trunks, index) + rng.choice([-1.0, 1.0], n) * rng.uniform(0.7, 1.5, n)
    inward = np.arctan2(to_fovea[index, 0], to_fovea[index, 1]) + rng.normal(0, 0.35, n)
    inward_bound = macular[index] & (rng.random(n) < 0.75)
    heading = np.where(inward_bound, inward, heading)
    width = np.clip(trunks.width[index] * rng.uniform(0.22, 0.5, n), 2.3, 4.8)
    length = rng.gamma(2.2, 140.0, n) + 60 + 150.0 * inward_bound
    return _new_tips(trunks.start[index], heading, width, length, rng.uniform(40, 160, n), trunks.vein[index])


def _twigs(rng: np.random.Generator, branches: _Pieces) -> _Tips:
    """Twigs off the side branches."""
    index = np.flatnonzero(rng.random(len(branches.width)) < _BRANCH.step_px / 40.0)
    n = len(index)
    heading = _along(branches, index) + rng.choice([-1.0, 1.0], n) * rng.uniform(0.7, 1.5, n)
    width = np.clip(branches.width[index] * rng.uniform(0.5, 0.85, n), 1.5, 2.6)
    return _new_tips(
        branches.start[index],
        heading,
        width,
        rng.gamma(2.0, 55.0, n) + 25,
        rng.uniform(30, 120, n),
        branches.vein[index],
    )


def _tufts(rng: np.random.Generator, ground: Ground, branches: _Pieces) -> _Tips:
    """Brush-like ends: fans of hair-thin vessels at the ends of some peripheral branches."""
    last = np.flatnonzero(branches.before_end() == 0)
    off = np.abs(branches.end[last] / ground.size - 0.5).max(axis=1) * 2
    chosen = last[rng.random(len(last)) < 0.55 * rng.random() * np.clip((off - 0.45) / 0.3, 0, 1)]
    hairs = rng.integers(4, 12, len(chosen))
    index = np.repeat(chosen, hairs)
    n = len(index)
    heading = _along(branches, index) + rng.normal(0, 0.75, n)
    return _new_tips(
        branches.end[index],
        heading,
        rng.uniform(1.3, 2.1, n),
        rng.gamma(3.0, 22.0, n) + 15,
        rng.uniform(20, 90, n),
        branches.vein[index],
    )
