"""TensorRT, its lean runtime and TensorRT-RTX: packages with one Python API, and what tells them apart.

Nothing here compares version numbers: what a package can do is asked of the package (`hasattr`). The version is only
recorded, since a plan is bound to it.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from fundusrt.errors import BackendUnavailable

__all__ = [
    "FLAVOURS",
    "Flavour",
    "TensorRT",
    "import_tensorrt",
    "import_tensorrt_lean",
    "operating_system",
    "tensorrt_of",
]

Flavour = Literal["tensorrt", "tensorrt-rtx"]
FLAVOURS: tuple[Flavour, ...] = ("tensorrt", "tensorrt-rtx")
_MODULES: dict[Flavour, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}


@dataclass(frozen=True)
class TensorRT:
    """An imported package.

    Attributes:
        flavour: `tensorrt` or `tensorrt-rtx`.
        version: as the package says it, `11.1.0.106`.
        module: the package; its classes have the same names in both flavours.
        lean: whether it is the lean runtime of `tensorrt`, which loads version-compatible plans and builds nothing.
    """

    flavour: Flavour
    version: str
    module: Any
    lean: bool = False

    @property
    def name(self) -> str:
        """As a backend is named: the flavour, or `tensorrt-lean`."""
        return "tensorrt-lean" if self.lean else self.flavour

    @property
    def targets_capabilities(self) -> bool:
        """Whether plans are compiled for named compute capabilities, and not for the GPU that is there."""
        return hasattr(self.module.IBuilderConfig, "set_compute_capability")

    def capabilities(self) -> tuple[str, ...]:
        """Return the compute capabilities that can be asked for (`sm86`), the lowest first."""
        known: dict[str, Any] = getattr(getattr(self.module, "ComputeCapability", None), "__members__", {})
        return tuple(sorted((name.lower() for name in known if name.startswith("SM")), key=lambda name: int(name[2:])))


def import_tensorrt(flavour: Flavour) -> TensorRT:
    """Import one of the two packages.

    Raises:
        BackendUnavailable: it is not installed, or its libraries do not load.
    """
    return tensorrt_of(_imported(_MODULES[flavour], flavour), flavour)


def import_tensorrt_lean() -> TensorRT:
    """Import the lean runtime of `tensorrt`.

    Raises:
        BackendUnavailable: it is not installed, or its libraries do not load.
    """
    module = _imported("tensorrt_lean", "tensorrt-lean")
    return TensorRT("tensorrt", str(module.__version__), module, lean=True)


def _imported(package: str, extra: str) -> Any:
    try:
        return import_module(package)
    except (ImportError, OSError) as error:  # OSError: a library of it is missing
        raise BackendUnavailable(
            extra,
            got=f"no usable Python package {package!r} ({error})",
            expected=f"{extra} installed",
            fix=f'pip install "fundusrt[{extra}]"',
        ) from error


def tensorrt_of(module: Any, flavour: Flavour) -> TensorRT:
    """Describe an imported package."""
    return TensorRT(flavour, str(module.__version__), module)


def operating_system(flavour: Flavour) -> str:
    """Return what a plan's file is bound to: `linux-x86_64`; TensorRT-RTX plans are the same everywhere, `any`."""
    return "any" if flavour == "tensorrt-rtx" else f"{platform.system()}-{platform.machine()}".lower()
