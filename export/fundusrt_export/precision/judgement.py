"""How far a candidate is from the float32 answer on held-out tiles, and how far it may be (DESIGN, section 7).

Dice of a reduced network is taken against the float32 network's own mask, all tiles in one pool: what a user sees is
one mask of many tiles, and a tile with three marked pixels says nothing by itself.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np

from fundusrt.agreement import at_least, at_most
from fundusrt.backends.base import Array
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.certificate import Measurement
from fundusrt.errors import InvalidInput
from fundusrt.ladder import limit_of
from fundusrt_export.precision.answering import Answering, in_onnxruntime
from fundusrt_export.precision.report import ReducedPrecision, Task

__all__ = ["LIMITS", "DiceJudge", "Further", "Judge", "PsnrJudge", "answers", "tile_sha256"]

_FIGURES: dict[Task, str] = {"segmentation": "drop", "enhancement": "noise"}

LIMITS: dict[tuple[Task, ReducedPrecision], float] = {
    (task, precision): limit_of(f"precision-{precision}", figure).value
    for task, figure in _FIGURES.items()
    for precision in get_args(ReducedPrecision)
}
"""Largest Dice drop, or smallest PSNR in dB.

40 dB is a root mean square error of 2.6 of 255 grey levels, about what storing the result as a JPEG file of good
quality costs; bf16 has three bits less than fp16 and is held to the limits of int8.
"""


Further = Callable[[bytes, Sequence[Array]], Sequence[Measurement]]
"""What else of a candidate is measured, given its answers to the held-out tiles."""

_BY_ONNXRUNTIME = "ONNX Runtime on the CPU; fp16 and bf16 as float32 arithmetic that rounds every reduced tensor"
_OTHERWISE = "the runtime that the file is for, on the CPU"

RANKING_TILES = 2
"""Held-out tiles on which layers are ranked, those with the most varied answers: each layer is one more candidate."""


class Judge(ABC):
    """Compares candidates with the float32 network on held-out tiles.

    Args:
        network: the float32 ONNX file.
        tiles: (N, C, H, W) float32, none of which is used for calibration.
        limit: of the figure.
        threads: of ONNX Runtime, None for one per core.
        further: what else a candidate has to hold; measured where the figure holds.
        answering: what runs the candidates, None for ONNX Runtime; the float32 network always runs there.

    Attributes:
        limit: of the figure.
        tiles_sha256: of each held-out tile.
        measured_by: in words, for the report.
        truth: the float32 network's answers to the tiles.
    """

    def __init__(
        self,
        network: bytes,
        tiles: Array,
        *,
        limit: float,
        threads: int | None = None,
        further: Further | None = None,
        answering: Answering | None = None,
    ) -> None:
        self.limit, self._further = limit, further
        self._tiles, self._answering = tiles, answering or in_onnxruntime(threads)
        self.measured_by = _OTHERWISE if answering else _BY_ONNXRUNTIME
        self.tiles_sha256 = frozenset(map(tile_sha256, tiles))
        self.truth = in_onnxruntime(threads)(network, tiles)
        varied = np.argsort([-answer.std(dtype=np.float64) for answer in self.truth], kind="stable")
        self._ranking: list[int] = sorted(varied[:RANKING_TILES].tolist())

    def __call__(self, candidate: bytes) -> Measurement:
        """Return the figure of a candidate on all held-out tiles, or the first further one that does not hold.

        NaN, which never holds, for infinite answers.
        """
        given = self._answering(candidate, self._tiles)
        finite = all(np.isfinite(answer).all() for answer in given)
        figure = self._figure(self._agreement(given, self.truth) if finite else math.nan)
        further = self._further(candidate, given) if self._further is not None and figure.holds else ()
        return next((each for each in further if not each.holds), figure)

    def distance(self, candidate: bytes) -> float:
        """Return the mean squared distance to the float32 answer, which is finer than the figure and ranks layers.

        Measured on `RANKING_TILES` tiles; infinite where an answer is not finite.
        """
        given = self._answering(candidate, self._tiles[self._ranking])
        truth = [self.truth[index] for index in self._ranking]
        squares = [np.square(a.astype(np.float64) - b).mean() for a, b in zip(given, truth, strict=True)]
        mean = float(np.mean(squares))
        return mean if math.isfinite(mean) else math.inf

    @abstractmethod
    def _agreement(self, given: list[Array], truth: list[Array]) -> float:
        """Return the figure of finite answers."""

    @abstractmethod
    def _figure(self, value: float) -> Measurement:
        """Return a figure with its name and limit."""


class DiceJudge(Judge):
    """One minus Dice between the candidate's mask and the float32 mask, pooled over the tiles.

    Args:
        network: the float32 ONNX file; answers probabilities.
        tiles: (N, C, H, W) float32 held-out tiles; at least one must hold a lesion.
        threshold: probability from which a pixel is marked.
        limit: largest drop.
        threads: of ONNX Runtime.
        further: as of `Judge`.
        answering: as of `Judge`.

    Raises:
        InvalidInput: no held-out tile holds a lesion, so that every candidate would agree.
    """

    def __init__(
        self,
        network: bytes,
        tiles: Array,
        *,
        threshold: float,
        limit: float,
        threads: int | None = None,
        further: Further | None = None,
        answering: Answering | None = None,
    ) -> None:
        super().__init__(network, tiles, limit=limit, threads=threads, further=further, answering=answering)
        self._threshold = np.float32(threshold)
        if not any((answer >= self._threshold).any() for answer in self.truth):
            raise InvalidInput(
                "held-out tiles",
                got=f"{len(tiles)} tiles on which the float32 network marks nothing",
                expected="at least one tile with a lesion",
                fix="add tiles of diseased eyes; two empty masks always agree",
            )

    def _agreement(self, given: list[Array], truth: list[Array]) -> float:
        common = marked = 0
        for answer, right in zip(given, truth, strict=True):
            ours, theirs = answer >= self._threshold, right >= self._threshold
            common += int(np.count_nonzero(ours & theirs))
            marked += int(np.count_nonzero(ours)) + int(np.count_nonzero(theirs))
        return 1.0 - 2.0 * common / marked

    def _figure(self, value: float) -> Measurement:
        return at_most("Dice drop against the float32 mask", value, self.limit)


class PsnrJudge(Judge):
    """PSNR in dB between the candidate's image and the float32 image, both clipped to [0, 1], the worst tile counts."""

    def _agreement(self, given: list[Array], truth: list[Array]) -> float:
        return min(_psnr_db(np.clip(a, 0, 1), np.clip(b, 0, 1)) for a, b in zip(given, truth, strict=True))

    def _figure(self, value: float) -> Measurement:
        return at_least("PSNR against the float32 image, dB", value, self.limit)


def answers(network: bytes, tiles: Array, *, threads: int | None = None) -> list[Array]:
    """Run an ONNX file of one input and one output on each tile; returns its answers, each without the batch axis."""
    session = OnnxRuntimeSession(network, source="candidate", threads=threads)
    (feed,), (output,) = session.inputs, session.outputs
    return [session.run({feed: tile[None]})[output][0] for tile in tiles]


def tile_sha256(tiles: Array) -> str:
    """Return the hash of one float32 tile, or of a stack of them; shapes are the network's."""
    return hashlib.sha256(np.ascontiguousarray(tiles).tobytes()).hexdigest()


def _psnr_db(image: Array, truth: Array) -> float:
    error = float(np.square(image.astype(np.float64) - truth).mean())
    # Equal images: as good as float32 can tell, and finite, since a figure must be.
    return -10.0 * math.log10(max(error, 2.0**-48))
