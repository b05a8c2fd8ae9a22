"""Replace every pytorch_wavelets transform inside a model by fixed convolutions."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from fundusrt_export.errors import RewriteDeclined
from fundusrt_export.rewrite.analysis import ConvDWT
from fundusrt_export.rewrite.library import is_analysis, is_library_module, is_synthesis
from fundusrt_export.rewrite.padding import MODES, canonical_mode
from fundusrt_export.rewrite.proof import Example, prove_equal
from fundusrt_export.rewrite.synthesis import ConvIDWT

__all__ = ["rewrite_wavelets"]

logger = logging.getLogger(__name__)

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def rewrite_wavelets(model: nn.Module, *, example: Example | None = None) -> nn.Module:
    """Return a deep copy of `model` in which fixed grouped convolutions take the place of pytorch_wavelets transforms.

    Legal cases:

    1. `DWTForward` and `DWTInverse` (aliases DWT, IDWT, DWT2D, IDWT2D; subclasses that keep `forward`), for any
       wavelet given by name, `pywt.Wavelet`, 2-tuple or 4-tuple of filters with at least 2 taps, any number of levels
       J;
    2. modes zero, symmetric, reflect, periodic, periodization (`per`), odd and even sizes;
    3. at any depth, several times, shared between parents (one instance stays one instance), or as the model itself;
    4. any device and floating dtype; train/eval state and buffer names are kept, so state dicts stay interchangeable.

    Declines, naming the module: modes constant and replicate (the library raises for them at the first call); every
    other transform of the library (SWT, DTCWT, 1-D, scattering); a subclass with its own `forward`; learned filters
    (parameters); hooks on a transform; filters of unequal or, for periodization, odd length; a transform hidden in a
    plain list, tuple or dict, where replacing it could go unnoticed.

    Forward values are equal up to rounding (float64 1e-12, float32 1e-5 of the output range). Gradients are the true
    ones, which the library's are not near the border (`docs/rewrite-your-model.md`).

    Args:
        model: any module; not modified.
        example: inputs of the model: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
            If given, a copy of the original runs on it, and each replacement must return the same as its original did.

    Raises:
        RewriteDeclined: a case listed above, or `model` is no module.
        RewriteMismatch: an output differs, is not finite, or a transform was never reached by the example.
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RewriteDeclined("model", got=type(model).__name__, expected="a torch.nn.Module")
    _refuse_hidden(model)
    replacements: dict[int, nn.Module] = {}
    for path, module in model.named_modules():
        if is_library_module(module):
            replacements[id(module)] = _convert(path, module)
    # Handing the deep copy its answers in advance keeps sharing intact and never copies what is thrown away.
    rewritten = copy.deepcopy(model, dict(replacements))
    logger.info("rewrote %d wavelet transforms as convolutions", len(replacements))
    if example is not None:
        paths = {path: replacements[id(m)] for path, m in model.named_modules() if id(m) in replacements}
        prove_equal(model, paths, example)
    return rewritten


def _convert(path: str, module: nn.Module) -> nn.Module:
    where = f"{path or '(model)'}: {type(module).__name__}"
    if not (is_analysis(module) or is_synthesis(module)):
        raise RewriteDeclined(
            where,
            got="a transform, or an overridden forward, that has no exact rewrite here",
            expected="DWTForward or DWTInverse",
            fix="replace it in the model, or keep it out of the part that is exported",
        )
    mode = canonical_mode(str(module.mode))
    if mode is None:
        raise RewriteDeclined(
            where,
            got=f"mode {module.mode!r}",
            expected=f"one of {', '.join(MODES)}",
            fix="the library accepts this mode in the constructor but raises at the first call",
        )
    if any(getattr(module, name, None) for name in _HOOKS):
        raise RewriteDeclined(where, got="hooks on the transform", fix="remove the hooks before rewriting")
    if any(True for _ in module.parameters()):
        raise RewriteDeclined(
            where, got="learned filters (parameters)", expected="fixed filters", fix="turn them into buffers first"
        )
    names = (
        ("h0_col", "h1_col", "h0_row", "h1_row") if is_analysis(module) else ("g0_col", "g1_col", "g0_row", "g1_row")
    )
    low_w, high_w, low_h, high_h = (getattr(module, name).numel() for name in names)
    odd = mode == "periodization" and (low_w % 2 or low_h % 2)
    if low_w != high_w or low_h != high_h or min(low_w, low_h) < 2 or odd:
        raise RewriteDeclined(
            where,
            got=f"filters of {low_w}, {high_w} taps along W and {low_h}, {high_h} along H, mode {mode}",
            expected="equal low and high lengths of at least 2, even for periodization",
        )
    return ConvDWT.from_library(module, mode) if is_analysis(module) else ConvIDWT.from_library(module, mode)


def _refuse_hidden(model: nn.Module) -> None:
    """Look for transforms that are only in plain containers, which PyTorch does not list: they would stay."""
    listed = {id(module) for module in model.modules()}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name in ("_modules", "_parameters", "_buffers"):
                continue
            for held in _modules_in(value):
                if any(is_library_module(inner) and id(inner) not in listed for inner in held.modules()):
                    raise RewriteDeclined(
                        f"{path or '(model)'}: attribute {name!r}",
                        got="a wavelet transform in a plain container",
                        expected="a registered submodule",
                        fix="use nn.ModuleList or nn.ModuleDict",
                    )


def _modules_in(value: Any) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _modules_in(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _modules_in(item)
