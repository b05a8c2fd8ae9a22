"""The retina as growing vessels see it: crowding, who runs where, where blood is lacking, which way trunks flow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.raster import soften

__all__ = ["CELL_PX", "Ground"]

CELL_PX = 26.0  # native side of a cell of the grid of crowding
_FINE_PX = 10.0  # native side of a cell of the grid that tells which vessel runs there
_UNFED_PITCH_PX = 185.0  # native distance between places that each want one artery and one vein
_FED_PX = 140.0  # a place is fed when a large vessel comes this close
_SIDEWAYS = 1.2  # radians; a place farther off the heading does not turn a vessel


class Ground:
    """State shared by all growing vessels of one eye, in native px; positions are (n, 2) float64 (y, x)."""

    def __init__(self, rng: np.random.Generator, eye: Eye) -> None:
        self.size = np.array([eye.height, eye.width]) / eye.scale
        self.disc = np.array(eye.disc) / eye.scale
        self.fovea = np.array(eye.fovea) / eye.scale
        self.distance = eye.foveal_distance_px / eye.scale
        self.axis = np.array([math.sin(eye.temporal_angle), math.cos(eye.temporal_angle)])
        rows, columns = (np.ceil(self.size / CELL_PX) + 2).astype(int)
        self._length = np.zeros((rows, columns), np.float32)
        self._crowd = self._length
        self._owner = np.zeros([int(side) + 15 for side in self.size / _FINE_PX], np.int64)
        self._unfed = {vein: self._draw_unfed(rng) for vein in (False, True)}

    def occupy(self, start: NDArray[np.float64], end: NDArray[np.float64], path: NDArray[np.int64]) -> None:
        """Note new pieces of vessels and the paths they belong to."""
        gone = np.linalg.norm(end - start, axis=1) / CELL_PX
        np.add.at(self._length, self._cell(end), gone.astype(np.float32))
        self._crowd = soften(self._length, 1.0)
        for position in (0.5 * (start + end), end):
            self._owner[self._fine(position)] = path + 1

    def taken(self, position: NDArray[np.float64], path: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether another path runs there."""
        owner = self._owner[self._fine(position)]
        return (owner > 0) & (owner != path + 1)

    def crowd(self, position: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return how crowded it is there; about 0.4 on a lone vessel."""
        return self._crowd[self._cell(position)]

    def wide_crowd(self, position: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the same over a wider neighbourhood, on a like scale."""
        return np.float32(11) * soften(self._length, 5.0)[self._cell(position)]

    def near_fovea(self, position: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether a position lies in the avascular zone."""
        return np.asarray(np.linalg.norm(position - self.fovea, axis=1) < 0.17 * self.distance)

    def outside(self, position: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether a position lies beyond the frame by more than a margin."""
        return np.any((position < -60) | (position > self.size + 60), axis=1)

    def strictness(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """How closely a trunk keeps to the flow: more so about the macula, which all go round."""
        far = np.linalg.norm(position - self.fovea, axis=1) / self.distance
        return 1.0 + 2.5 * np.exp(-(far**2))

    def flow(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heading a trunk tends to: off the disc, round the macula, then along the temporal axis and towards it."""
        away = position - self.disc
        away /= np.linalg.norm(away, axis=1, keepdims=True) + 1e-9
        beside = position - self.fovea
        far = np.linalg.norm(beside, axis=1, keepdims=True) + 1e-9
        away += beside / far * 1.3 * np.exp(-((far / (0.72 * self.distance)) ** 2))
        normal = np.array([self.axis[1], -self.axis[0]])
        along = (beside @ self.axis)[:, None] / self.distance
        across = (beside @ normal)[:, None] / self.distance
        away += self.axis * np.clip(along + 0.85, 0.0, 1.4) * 0.9 * np.exp(-((across / 2.2) ** 2))
        away -= normal * across * 0.6 * np.exp(-((across / 2.0) ** 2)) * np.clip(along + 0.2, 0.0, 1.1)
        return np.arctan2(away[:, 0], away[:, 1])

    def demand(
        self,
        position: NDArray[np.float64],
        heading: NDArray[np.float64],
        width: NDArray[np.float64],
        is_vein: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """What the places without blood ask of each tip; every place asks the one tip that is best placed.

        Idea of attraction points: Runions, Lane, Prusinkiewicz, Modeling trees with a space colonization algorithm,
        2007. Places that have been reached are struck off.

        Returns for each tip the mean turn asked (radians), the spread of the turns, and whether anything is asked.
        """
        n = len(heading)
        weight, turn, spread = np.zeros(n), np.zeros(n), np.zeros(n)
        for vein, places in self._unfed.items():
            tips = np.flatnonzero(is_vein == vein)
            if not len(places) or not len(tips):
                continue
            offset = places[:, None, :] - position[None, tips, :]
            distance = np.linalg.norm(offset, axis=2) + 1e-6
            ahead = np.arctan2(offset[..., 0], offset[..., 1]) - heading[None, tips]
            ahead = (ahead + math.pi) % (2 * math.pi) - math.pi
            cost = distance * (1.0 + 0.9 * ahead**2) / np.sqrt(width[tips])[None, :]
            nearest = np.argmin(cost, axis=1)
            row = np.arange(len(nearest))
            angle, pull, owner = ahead[row, nearest], 1.0 / distance[row, nearest], tips[nearest]
            useful = np.abs(angle) < _SIDEWAYS
            owner, angle, pull = owner[useful], angle[useful], pull[useful]
            total = np.bincount(owner, pull, n)
            mean = np.bincount(owner, pull * angle, n) / (total + 1e-9)
            weight += total
            turn += mean
            spread += np.sqrt(np.bincount(owner, pull * (angle - mean[owner]) ** 2, n) / (total + 1e-9))
            self._unfed[vein] = places[distance.min(axis=1) > _FED_PX]
        return turn, spread, weight > 0

    def _draw_unfed(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A jittered grid of places, outside disc and macula."""
        pitch = _UNFED_PITCH_PX
        rows, columns = (int(side) for side in np.ceil(self.size / pitch))
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        places = (np.stack([y.ravel(), x.ravel()], axis=1) + rng.uniform(-0.1, 1.1, (rows * columns, 2))) * pitch
        clear = np.linalg.norm(places - self.fovea, axis=1) > 0.95 * self.distance
        clear &= np.linalg.norm(places - self.disc, axis=1) > 0.8 * self.distance
        return places[clear]

    def _cell(self, position: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        cell = (position / CELL_PX).astype(np.int64) + 1
        rows, columns = self._length.shape
        return np.clip(cell[:, 0], 0, rows - 1), np.clip(cell[:, 1], 0, columns - 1)

    def _fine(self, position: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        cell = (position / _FINE_PX).astype(np.int64) + 7
        last_row, last_column = self._owner.shape[0] - 1, self._owner.shape[1] - 1
        return np.clip(cell[:, 0], 0, last_row), np.clip(cell[:, 1], 0, last_column)
