"""FundusRT: retinal-image networks in deployment.

    import fundusrt
    result = fundusrt.load("leakage")("eye.jpg")

Importing this package loads NumPy and nothing heavier; each name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Imported at once: the function shares its module's name, and a first import later would put the module in its place.
from fundusrt.cgnr import cgnr

if TYPE_CHECKING:
    from fundusrt.bundle import Bundle
    from fundusrt.enhancement_result import EnhancementResult
    from fundusrt.errors import (
        BackendUnavailable,
        BundleError,
        CertificateError,
        EngineMismatch,
        FundusRTError,
        InvalidInput,
        OutputError,
    )
    from fundusrt.image import FundusImage, from_array, read_image
    from fundusrt.loading import load
    from fundusrt.results import SegmentationResult
    from fundusrt.tiling import TileGrid

__version__ = "0.1.0"

_HOMES = {
    "BackendUnavailable": "errors",
    "Bundle": "bundle",
    "BundleError": "errors",
    "CertificateError": "errors",
    "EngineMismatch": "errors",
    "EnhancementResult": "enhancement_result",
    "FundusImage": "image",
    "FundusRTError": "errors",
    "InvalidInput": "errors",
    "OutputError": "errors",
    "SegmentationResult": "results",
    "TileGrid": "tiling",
    "from_array": "image",
    "load": "loading",
    "read_image": "image",
}

__all__ = [
    "BackendUnavailable",
    "Bundle",
    "BundleError",
    "CertificateError",
    "EngineMismatch",
    "EnhancementResult",
    "FundusImage",
    "FundusRTError",
    "InvalidInput",
    "OutputError",
    "SegmentationResult",
    "TileGrid",
    "__version__",
    "cgnr",
    "from_array",
    "load",
    "read_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fundusrt' has no attribute {name!r}")
    return getattr(import_module(f"fundusrt.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
