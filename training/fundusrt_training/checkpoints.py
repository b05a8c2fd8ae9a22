"""Checkpoints: safetensors files, never pickles. Tensors by name, and JSON metadata that says what they are."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fundusrt.atomic import atomic_write
from fundusrt.errors import InvalidInput

__all__ = ["installed_versions", "load_checkpoint", "read_metadata", "save_checkpoint"]

FORMAT = "fundusrt-checkpoint-1"


def save_checkpoint(
    path: str | Path,
    state: Mapping[str, Tensor],
    config: dict[str, Any],
    *,
    system: str = "cmwnet",
    step: int = 0,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: file to write, `*.safetensors`.
        state: tensors by name; for CMWNet `large.*` and `small.*`.
        config: the whole configuration, JSON data.
        system: the training system.
        step: optimiser steps taken.
        extra: more JSON data for the metadata, by name.

    Raises:
        OutputError: the file cannot be written.
    """
    facts = {"config": config, "step": step, "versions": installed_versions(), **(extra or {})}
    header = {"format": FORMAT, "system": system} | {name: json.dumps(value) for name, value in facts.items()}
    # a copy of each: the format has no place for tensors that share memory, as a shared PReLU does under its names
    layout = torch.contiguous_format
    tensors = {name: tensor.detach().cpu().clone(memory_format=layout) for name, tensor in state.items()}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the configuration of a checkpoint.

    Raises:
        InvalidInput: not a FundusRT checkpoint.
    """
    header = read_metadata(path)
    with safe_open(path, framework="pt") as file:
        state = {name: cast(Tensor, file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    return state, header["config"]


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Return what a checkpoint says about itself: system, config, step, versions and whatever else was saved.

    Raises:
        InvalidInput: not a FundusRT checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = cast("dict[str, str]", file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise InvalidInput(
            path,
            got=str(error),
            expected="a checkpoint written by `fundusrt train`",
            fix="give the .safetensors file in the run's checkpoints/",
        ) from error
    if header.get("format") != FORMAT:
        raise InvalidInput(
            path,
            got=f"format {header.get('format')!r}",
            expected=f"{FORMAT}, as written by `fundusrt train`",
            fix="give the .safetensors file in a run's checkpoints/",
        )
    plain = {name: header[name] for name in ("format", "system")}
    return plain | {name: json.loads(value) for name, value in header.items() if name not in plain}


def installed_versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    names = ("torch", "lightning", "monai", "numpy", "opencv-python-headless", "pytorch_wavelets", "safetensors")
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions
