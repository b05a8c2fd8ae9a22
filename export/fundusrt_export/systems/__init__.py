"""The systems that can be exported: the one place that says which export a checkpoint's system has."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from fundusrt.errors import InvalidInput
from fundusrt_export.branch import Form
from fundusrt_export.systems.system_export import SystemExport
from fundusrt_training.checkpoints import read_metadata

__all__ = ["EXPORTS", "open_checkpoint"]

EXPORTS = {"cmwnet": "CmwnetExport", "ss-maf": "SsMafExport"}
"""Class of each system's export, in the module of the system's name with `_` for `-`."""


def open_checkpoint(path: str | Path, settings: Sequence[str] = (), form: Form | None = None) -> SystemExport:
    """Load a checkpoint for export.

    Args:
        path: a `.safetensors` file of `fundusrt train`.
        settings: `NAME=VALUE` for what may be chosen after training.
        form: graph form, of a system that has a choice.

    Raises:
        InvalidInput: no FundusRT checkpoint, a system that has no bundle, or weights that do not fit.
        UsageError: a setting or form the system does not have.
    """
    system = read_metadata(path)["system"]
    if system not in EXPORTS:
        raise InvalidInput(
            path,
            got=f"system {system!r}",
            expected=" or ".join(EXPORTS),
            fix="give a checkpoint of `fundusrt train` for one of these",
        )
    module = import_module(f"fundusrt_export.systems.{system.replace('-', '_')}")
    return getattr(module, EXPORTS[system]).open(path, settings, form)
