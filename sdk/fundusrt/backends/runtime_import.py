"""Import a runtime when it is asked for, or say what to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fundusrt.errors import BackendUnavailable

__all__ = ["import_runtime"]


def import_runtime(package: str, entry: str, *, extra: str) -> Any:
    """Return the module of a runtime.

    Args:
        package: its import name, which is also the backend's name.
        entry: a name every working installation has.
        extra: the extra of fundusrt that installs it.

    Raises:
        BackendUnavailable: it is not installed or does not load.
    """
    try:
        module = import_module(package)
        if not hasattr(module, entry):  # a folder left behind by an uninstalled wheel
            raise ImportError("the package is hollow")
    except ImportError as error:
        raise BackendUnavailable(
            f"backend {package!r}",
            got=f"import failed ({error})",
            expected=f"the {package} package",
            fix=f'pip install "fundusrt[{extra}]"',
        ) from error
    return module
