"""Errors of the export side; all are `FundusRTError`.

FundusRTError
├── RewriteDeclined     a model that cannot be rewritten exactly; nothing was changed
├── RewriteMismatch     a rewrite whose result differs from the original
├── ExportError         an ONNX file that is not what it must be
├── ParityError         a rung of the parity ladder that does not hold
├── PrecisionError      a precision in which a network does not keep its limit
├── EngineBuildError    a network that the engine builder refuses, or a build that fails
│   └── BuildCancelled  a build that was told to stop
└── InspectionError     an engine of which the inspector gives no report that can be read
"""

from __future__ import annotations

from fundusrt.errors import FundusRTError

__all__ = [
    "BuildCancelled",
    "EngineBuildError",
    "ExportError",
    "InspectionError",
    "ParityError",
    "PrecisionError",
    "RewriteDeclined",
    "RewriteMismatch",
]


class RewriteDeclined(FundusRTError):
    """A module for which no exact rewrite is known; the model is left as it was."""

    code = "rewrite-declined"


class RewriteMismatch(FundusRTError):
    """A rewritten module whose output differs from the original's on the given example."""

    code = "rewrite-mismatch"


class ExportError(FundusRTError):
    """An ONNX export that failed or that holds what it must not hold."""

    code = "export-error"


class ParityError(FundusRTError):
    """A rung of the parity ladder above its limit; no bundle is written."""

    code = "parity-error"


class PrecisionError(FundusRTError):
    """A precision in which a network does not keep its limit, however many layers stay in float32."""

    code = "precision-error"


class EngineBuildError(FundusRTError):
    """A network that TensorRT does not parse or build; `got` holds what its log said."""

    code = "engine-build-error"


class BuildCancelled(EngineBuildError):
    """A build that was stopped by Ctrl-C or by the caller; nothing was stored."""

    code = "build-cancelled"


class InspectionError(FundusRTError):
    """An engine that was built, and of which TensorRT's inspector gives no report or one that cannot be read."""

    code = "inspection-error"
