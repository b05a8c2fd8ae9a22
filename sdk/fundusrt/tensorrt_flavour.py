"""TensorRT and TensorRT-RTX: two packages with one Python API, and what tells them apart.

Nothing here compares version numbers: what a package can do is asked of the package (`hasattr`). The version is only
recorded, since a plan is bound to it.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from fundusrt.errors import BackendUnavailable

__all__ = ["FLAVOURS", "Flavour", "TensorRT", "import_tensorrt", "operating_system", "tensorrt_of"]

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
    """

    flavour: Flavour
    version: str
    module: Any

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
    try:
        module = import_module(_MODULES[flavour])
    except (ImportError, OSError) as error:  # OSError: a library of it is missing
        raise BackendUnavailable(
            flavour,
            got=f"no usable Python package {_MODULES[flavour]!r} ({error})",
            expected=f"{flavour} installed",
            fix=f'pip install "fundusrt[{flavour}]"',
        ) from error
    return tensorrt_of(module, flavour)


def tensorrt_of(module: Any, flavour: Flavour) -> TensorRT:
    """Describe an imported package."""
    return TensorRT(flavour, str(module.__version__), module)


def operating_system(flavour: Flavour) -> str:
    """Return what a plan's file is bound to: `linux-x86_64`; TensorRT-RTX plans are the same everywhere, `any`."""
    return "any" if flavour == "tensorrt-rtx" else f"{platform.system()}-{platform.machine()}".lower()
