"""Layers go back to float32, the most harmful first, until the limit holds."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass

from fundusrt.certificate import Measurement
from fundusrt_export.errors import PrecisionError
from fundusrt_export.precision.report import ReducedPrecision

__all__ = ["Build", "Controlled", "Progress", "Rankings", "control_accuracy"]

Build = Callable[[frozenset[str]], bytes]
"""Make the file in which the named layers are float32."""
Progress = Callable[[str], None]
Rankings = MutableMapping[tuple[str, ...], tuple[str, ...]]
"""Layers in the order of the graph, and the same, most harmful first."""


@dataclass(frozen=True)
class Controlled:
    """The file that keeps the limit, its figure and that of no layer put back, the layers put back, worst first."""

    content: bytes
    figure: Measurement
    unrestored: Measurement
    restored: tuple[str, ...]
    candidates: int


def control_accuracy(
    precision: ReducedPrecision,
    build: Build,
    layers: Sequence[str],
    judge: Callable[[bytes], Measurement],
    distance: Callable[[bytes], float],
    progress: Progress,
    rankings: Rankings | None = None,
) -> Controlled:
    """Return the file with the fewest layers put back that keeps the limit.

    Harm of a layer is the distance to the float32 answer when it alone is reduced. (Putting it alone back says less:
    where two layers share a tensor that does not fit, neither helps without the other.) The number to put back is then
    searched by doubling and halving; what is returned has itself been judged.

    Args:
        precision: for messages.
        build: makes a candidate; deterministic.
        layers: that may be put back, in the order of the graph.
        judge: measures a candidate against the limit.
        distance: from the float32 answer, for the order.
        progress: called with a line per step.
        rankings: of the same network in the graphs of other targets, whose layers have the same names; used and filled.
            A ranking decides where the search looks, never what is accepted.

    Raises:
        PrecisionError: no layer can be reduced, or the limit is missed even with a single layer reduced.
    """
    if not layers:
        raise PrecisionError(
            f"precision {precision}",
            got="no layer that can be reduced",
            expected="at least one",
            fix="export this network in fp32",
        )
    judged: dict[int, tuple[bytes, Measurement]] = {}
    ranked: list[str] = []

    def measure(count: int) -> Measurement:
        if count not in judged:
            content = build(frozenset(ranked[:count]))
            judged[count] = content, judge(content)
            figure = judged[count][1]
            progress(f"{precision}, {count} of {len(layers)} layers in float32: {figure.metric} {figure.value:.5g}")
        return judged[count][1]

    unrestored = measure(0)
    alone = 0
    count = 0
    if not unrestored.holds:
        known = {} if rankings is None else rankings
        if tuple(layers) not in known:
            everything = frozenset(layers)
            harm = {layer: distance(build(everything - {layer})) for layer in layers}
            alone = len(layers)
            known[tuple(layers)] = tuple(sorted(layers, key=lambda layer: (-harm[layer], layers.index(layer))))
        ranked.extend(known[tuple(layers)])
        progress(f"{precision}: most harmful layers {', '.join(ranked[:5])}")
        count = _fewest(lambda number: measure(number).holds, len(layers) - 1)
    if count < 0:
        figure = judged[max(judged)][1]
        sign = "at most" if figure.bound == "at_most" else "at least"
        raise PrecisionError(
            f"precision {precision}",
            got=f"{figure.metric} {figure.value:.5g} with {max(judged)} of {len(layers)} layers in float32",
            expected=f"{sign} {figure.limit:g}",
            fix="export this network in fp16 or fp32" if precision != "fp16" else "export this network in fp32",
        )
    content, figure = judged[count]
    return Controlled(content, figure, unrestored, tuple(ranked[:count]), len(judged) + alone)


def _fewest(holds: Callable[[int], bool], most: int) -> int:
    """Return the smallest count that holds, assuming that more never hurts; -1 if not even the largest does."""
    too_few, count = 0, 1
    while count < most and not holds(count):
        too_few, count = count, 2 * count
    count = min(count, most)
    if count < 1 or not holds(count):
        return -1
    while count - too_few > 1:
        middle = (too_few + count) // 2
        if holds(middle):
            count = middle
        else:
            too_few = middle
    return count
