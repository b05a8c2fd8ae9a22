"""What was decided when a network got its precision: for the certificate, the model card, and whoever asks why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from fundusrt.certificate import Measurement

__all__ = ["CalibrationFacts", "KeptNode", "PrecisionReport", "PrecisionResult", "Reason", "ReducedPrecision", "Task"]

ReducedPrecision = Literal["fp16", "bf16", "int8"]
Task = Literal["segmentation", "enhancement"]
Reason = Literal["range", "underflow", "statistics", "head", "stem", "pooled", "type", "accuracy"]
"""Why a node stays in float32.

`range`: an input, output or weight too large for the type; `underflow`: one that is nothing but tiny values;
`statistics`: mean, variance and what is computed from them; `head`: the last convolution and all behind it; `stem`: the
first convolution (int8); `pooled`: a convolution of one value a channel (int8); `type`: the operator does not take the
type; `accuracy`: it was put back to keep the limit.
"""


@dataclass(frozen=True)
class KeptNode:
    """One node that stays in float32."""

    node: str
    operator: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class CalibrationFacts:
    """The tiles that ranges were measured on.

    Attributes:
        tiles: how many.
        with_lesions: how many of them hold lesions; None for enhancement.
        sha256: of all tiles in their order.
    """

    tiles: int
    with_lesions: int | None
    sha256: str


@dataclass(frozen=True)
class PrecisionReport:
    """Everything that was decided.

    Attributes:
        precision: what was asked for, and is in the file.
        reduced: names of the nodes that compute in the reduced type.
        kept: those that do not, in the order of the graph, with the reason. For int8, convolutions only.
        layers: how many there were to put back.
        restored: layers put back to float32 to keep the limit, the most harmful first.
        figure: agreement with the float32 answer on held-out tiles; it holds.
        unrestored: the same before any layer was put back.
        measured_by: how the figures were measured.
        candidates: how many files were made and measured.
        largest: max |x| of every float32 tensor on the calibration tiles.
        calibration: the tiles.
        bytes_before: size of the float32 file.
        bytes_after: size of the result.
    """

    precision: ReducedPrecision
    reduced: tuple[str, ...]
    kept: tuple[KeptNode, ...]
    layers: int
    restored: tuple[str, ...]
    figure: Measurement
    unrestored: Measurement
    measured_by: str
    candidates: int
    largest: dict[str, float]
    calibration: CalibrationFacts
    bytes_before: int
    bytes_after: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        plain = asdict(self)
        return plain | {"figure": self.figure.model_dump(), "unrestored": self.unrestored.model_dump()}


@dataclass(frozen=True)
class PrecisionResult:
    """A self-contained ONNX file of the wanted precision, and how it came about."""

    content: bytes
    report: PrecisionReport
