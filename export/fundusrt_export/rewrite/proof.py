"""Proof of a module rewrite on the model's own data: record what each original receives, compare what both return."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fundusrt_export.errors import RewriteMismatch

__all__ = ["Example", "Proof", "prove_equal", "relative_difference", "rewrite_limit"]

logger = logging.getLogger(__name__)

Example = Tensor | tuple[Any, ...] | Mapping[str, Any]

_LIMITS = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 1e-1}


@dataclass(frozen=True)
class Proof:
    """What was measured for one module.

    Attributes:
        path: name of the module in the model.
        calls: how often the example ran it.
        difference: largest |original - rewritten| over the range of the original's output, all calls.
        limit: what it had to stay below.
    """

    path: str
    calls: int
    difference: float
    limit: float


def rewrite_limit(dtype: torch.dtype) -> float:
    """Return the largest relative difference that counts as rounding: 1e-12 for float64, 1e-5 for float32."""
    return _LIMITS[dtype]


def relative_difference(reference: Tensor, other: Tensor) -> float:
    """Return max |reference - other| / max(1, max |reference|); infinity for other shapes and values not finite."""
    if reference.shape != other.shape or not bool(torch.isfinite(reference).all() & torch.isfinite(other).all()):
        return float("inf")
    if reference.numel() == 0:
        return 0.0
    wide = reference.double()
    return float((wide - other.double()).abs().max() / wide.abs().max().clamp(min=1.0))


@torch.no_grad()
def prove_equal(model: nn.Module, replacements: Mapping[str, nn.Module], example: Example) -> list[Proof]:
    """Run `model` on `example` and give every replaced module's inputs to its replacement.

    The run happens on a deep copy, so running statistics and caches of `model` stay as they were.

    Args:
        model: the original.
        replacements: new module by path in the original; a shared instance may appear under one of its paths.
        example: inputs of the model.

    Returns:
        One proof a replacement, in order.

    Raises:
        RewriteMismatch: an output differs or is not finite, or a module was not reached.
    """
    original = copy.deepcopy(model)
    originals = {path: original.get_submodule(path) for path in replacements}
    worst: dict[str, tuple[int, float, float]] = {}
    handles = [
        module.register_forward_hook(_comparison(path, replacements[path], worst), with_kwargs=True)
        for path, module in originals.items()
    ]
    try:
        _call(original, example)
    finally:
        for handle in handles:
            handle.remove()
    proofs: list[Proof] = []
    for path in replacements:
        if path not in worst:
            raise RewriteMismatch(
                path or "(model)",
                got="never reached by the example, so nothing is proved",
                fix="give an example that runs this module, or leave `example` out",
            )
        proofs.append(Proof(path, *worst[path]))
        logger.info("%s: %d calls, difference %.2e", path or "(model)", worst[path][0], worst[path][1])
    return proofs


def _comparison(path: str, replacement: nn.Module, worst: dict[str, tuple[int, float, float]]) -> Any:
    def compare(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        del module
        references = list(_tensors(output))
        others = list(_tensors(replacement(*args, **kwargs)))
        if len(references) != len(others):
            raise RewriteMismatch(path or "(model)", got=f"{len(others)} output tensors", expected=len(references))
        calls, difference, limit = worst.get(path, (0, 0.0, 0.0))
        for index, (reference, other) in enumerate(zip(references, others, strict=True)):
            limit = rewrite_limit(reference.dtype)
            here = relative_difference(reference, other)
            if other.dtype != reference.dtype or not here <= limit:
                raise RewriteMismatch(
                    f"{path or '(model)'}: output {index}",
                    got=f"{other.dtype} {tuple(other.shape)}, relative difference {here:.3e}",
                    expected=f"{reference.dtype} {tuple(reference.shape)}, at most {limit:.0e}",
                    fix="the rewrite does not hold for this module; do not deploy it",
                )
            difference = max(difference, here)
        worst[path] = (calls + 1, difference, limit)

    return compare


def _call(model: nn.Module, example: Example) -> Any:
    if isinstance(example, Tensor):
        return model(example)
    if isinstance(example, Mapping):
        return model(**example)
    return model(*example)


def _tensors(value: Any) -> Sequence[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []
