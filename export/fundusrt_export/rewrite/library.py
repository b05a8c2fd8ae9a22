"""The one place that imports pytorch_wavelets, and what is known about its module classes."""

from __future__ import annotations

import warnings
from functools import cache
from types import ModuleType

from torch import nn

__all__ = ["is_analysis", "is_library_module", "is_synthesis", "pytorch_wavelets"]


@cache
def pytorch_wavelets() -> ModuleType:
    """Return the pytorch_wavelets package.

    Its import asks setuptools for `pkg_resources`, which warns about its own removal; that warning is not the user's
    concern and is silenced for this import only.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*pkg_resources.*")
        warnings.filterwarnings("ignore", message=r"Deprecated call to `pkg_resources.*")
        import pytorch_wavelets as library
    return library


def is_library_module(module: nn.Module) -> bool:
    """Return whether the class of `module`, or one it derives from, is defined by pytorch_wavelets."""
    return any(kind.__module__.partition(".")[0] == "pytorch_wavelets" for kind in type(module).__mro__)


def is_analysis(module: nn.Module) -> bool:
    """Return whether `module` runs exactly `DWTForward.forward`."""
    return is_library_module(module) and _runs(module, pytorch_wavelets().DWTForward)


def is_synthesis(module: nn.Module) -> bool:
    """Return whether `module` runs exactly `DWTInverse.forward`."""
    return is_library_module(module) and _runs(module, pytorch_wavelets().DWTInverse)


def _runs(module: nn.Module, kind: type[nn.Module]) -> bool:
    """A subclass counts as long as it computes what its base does; an overridden `forward` could do anything."""
    same = type(module).forward is kind.forward and type(module).__call__ is nn.Module.__call__
    return isinstance(module, kind) and same and "forward" not in vars(module)
