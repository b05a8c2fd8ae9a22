"""Precision lives in the ONNX file: fp16, bf16 and int8 from float32, each proved to keep its limit.

`to_precision` is the one entry. Ranges come from real tiles, a keep list says what stays in float32, and layers go back
to float32, the most harmful first, until a judge on other tiles finds the limit kept.
"""

from __future__ import annotations

from fundusrt_export.precision.calibration import FEWEST_TILES
from fundusrt_export.precision.convert import to_precision
from fundusrt_export.precision.judgement import LIMITS, DiceJudge, Judge, PsnrJudge
from fundusrt_export.precision.report import KeptNode, PrecisionReport, PrecisionResult, ReducedPrecision, Task

__all__ = [
    "FEWEST_TILES",
    "LIMITS",
    "DiceJudge",
    "Judge",
    "KeptNode",
    "PrecisionReport",
    "PrecisionResult",
    "PsnrJudge",
    "ReducedPrecision",
    "Task",
    "to_precision",
]
