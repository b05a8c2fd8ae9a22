"""The picture of a run: every sample with its quantiles, when it was taken, and where the time went.

Drawn with OpenCV, which the SDK has anyway; its letters are ASCII.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.bench.report import BenchReport, Sample
from fundusrt.bench.summary import rounds_of

__all__ = ["plot"]

Picture = npt.NDArray[np.uint8]
Point = tuple[int, int]
Colour = tuple[int, int, int]

_WIDTH_PX = 1200
_LEFT_PX, _RIGHT_PX = 250, 40
_ROW_PX = 74
_BAR_PX = 26
_INK: Colour = (40, 40, 40)
_FAINT: Colour = (214, 214, 214)
_DOT: Colour = (120, 150, 190)
_MARK: Colour = (190, 60, 40)
_BARS: tuple[Colour, ...] = ((76, 114, 176), (221, 132, 82), (85, 168, 104), (196, 78, 82), (129, 114, 179))


def plot(report: BenchReport) -> Picture:
    """Return the picture, (H, 1200, 3) uint8 RGB.

    Above, a row for each scope and scenario: dots from left to right by milliseconds an image, from top to bottom in
    the order they were taken, so that drift is a slant; red lines at p50 and p99. Below, the median of each stage.
    """
    stages = [(each.stage, each.quantiles[0].ms) for each in report.stages if each.quantiles is not None]
    height = 90 + _ROW_PX * len(report.latency) + 60 + _BAR_PX * len(stages) + 40
    picture: Picture = np.full((height, _WIDTH_PX, 3), 255, np.uint8)
    runtime, bundle = report.runtime, report.bundle
    _text(picture, f"{bundle.name} {bundle.version} on {runtime.provider}, {runtime.precision}", (20, 34), 0.75)
    machine = report.environment.machine
    line = f"{machine.cpu}, {machine.usable_cores} cores; {report.stability.verdict}"
    _text(picture, line if report.correctness.holds else f"{line}; WRONG ANSWERS", (20, 62), 0.5)
    top = 90
    for each in report.latency:
        blocks = rounds_of(report.samples, each.scope, each.scenario).values()
        _samples(picture, top, f"{each.scope} {each.scenario}", [sample for block in blocks for sample in block])
        top += _ROW_PX
    _text(picture, "median of each stage, single stream, ms", (20, top + 40), 0.5)
    _stages(picture, top + 60, stages)
    return picture


def _samples(picture: Picture, top: int, name: str, samples: Sequence[Sample]) -> None:
    values = [sample.wall_ms / sample.images for sample in samples]
    most = 1.05 * max(values) or 1.0
    bottom = top + _ROW_PX - 26
    _line(picture, (_LEFT_PX, bottom), (_WIDTH_PX - _RIGHT_PX, bottom), _FAINT)
    for order, value in enumerate(values):
        y = top + 4 + round((bottom - top - 10) * order / max(1, len(values) - 1))
        _dot(picture, (_across(value / most), y))
    middle, high = (float(np.quantile(values, share)) for share in (0.5, 0.99))
    for value in (middle, high):
        _line(picture, (_across(value / most), top), (_across(value / most), bottom), _MARK)
    _text(picture, name, (20, top + 22), 0.45)
    _text(picture, f"p50 {middle:.1f}  p99 {high:.1f} ms/image", (20, top + 42), 0.4)
    _text(picture, "0", (_LEFT_PX - 4, bottom + 16), 0.4)
    _text(picture, f"{most:.1f} ms", (_WIDTH_PX - _RIGHT_PX - 60, bottom + 16), 0.4)


def _stages(picture: Picture, top: int, stages: Sequence[tuple[str, float]]) -> None:
    import cv2

    most = max((ms for _, ms in stages), default=1.0) or 1.0
    for position, (stage, ms) in enumerate(stages):
        y = top + position * _BAR_PX
        end = _across(0.85 * ms / most)
        colour = _BARS[position % len(_BARS)]
        cv2.rectangle(picture, (_LEFT_PX, y), (max(end, _LEFT_PX + 1), y + _BAR_PX - 8), colour, -1)
        _text(picture, stage, (20, y + _BAR_PX - 11), 0.45)
        _text(picture, f"{ms:.2f}", (max(end, _LEFT_PX + 1) + 8, y + _BAR_PX - 11), 0.45)


def _across(share: float) -> int:
    return _LEFT_PX + round(share * (_WIDTH_PX - _LEFT_PX - _RIGHT_PX))


def _text(picture: Picture, text: str, at: Point, scale: float) -> None:
    import cv2

    plain = text.encode("ascii", "replace").decode()
    cv2.putText(picture, plain, at, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)


def _line(picture: Picture, begin: Point, end: Point, colour: Colour) -> None:
    import cv2

    cv2.line(picture, begin, end, colour, 1)


def _dot(picture: Any, at: Point) -> None:
    import cv2

    cv2.circle(picture, at, 3, _DOT, -1, cv2.LINE_AA)
