"""Batch normalisation folded into the convolution before it.

    y = gamma (w * x + b - mean) / sqrt(var + eps) + beta = w' * x + b'

In eval mode mean and var are constants, so both steps are one affine map of the convolution's input. PyTorch does the
arithmetic (`torch.nn.utils.fusion`).
"""

from __future__ import annotations

import copy
import logging
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fundusrt_export.errors import RewriteDeclined
from fundusrt_export.rewrite.proof import Example, prove_equal

__all__ = ["fold_batch_norms"]

logger = logging.getLogger(__name__)


def fold_batch_norms(model: nn.Module, *, example: Example | None = None) -> nn.Module:
    """Return a deep copy of `model` in which each BatchNorm2d is part of the convolution before it.

    Legal cases: 1. exactly `nn.BatchNorm2d` with running statistics, in eval mode, directly behind exactly one
    `nn.Conv2d` of the same `nn.Sequential`; 2. neither is used anywhere else, and neither has hooks. The place of the
    normalisation keeps an `nn.Identity`, so that names stay.

    Declines, naming the module: training mode or no running statistics (the result then depends on the batch), a
    normalisation anywhere else, a shared one, hooks.

    Args:
        model: not modified.
        example: inputs of the model; if given, each block is proved equal on what it receives there.

    Raises:
        RewriteDeclined: a case listed above.
        RewriteMismatch: the outputs differ (float32: 1e-5).
    """
    foldable = _foldable(model)
    for path, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and id(module) not in foldable:
            raise RewriteDeclined(
                path or "(model)",
                got=_obstacle(module),
                expected="a BatchNorm2d in eval mode right behind a Conv2d of the same Sequential, used once",
                fix="call eval() on the network; leave out of the export what only training needs",
            )
    rewritten = copy.deepcopy(model)
    changed: dict[str, nn.Module] = {}
    for path, block in rewritten.named_modules():
        if not isinstance(block, nn.Sequential):
            continue
        for index, (conv, norm) in enumerate(pairwise(block)):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[index], block[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity().eval()
                changed[path] = block
    logger.info("folded %d batch normalisations", len(foldable))
    if example is not None:
        prove_equal(model, changed, example)
    return rewritten


def _foldable(model: nn.Module) -> set[int]:
    """Return the identities of the normalisations that meet both cases."""
    uses: dict[int, int] = {}
    for _, module in model.named_modules(remove_duplicate=False):
        uses[id(module)] = uses.get(id(module), 0) + 1
    found: set[int] = set()
    for block in model.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for conv, norm in pairwise(block):
            plain = type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d
            once = uses[id(conv)] == uses[id(norm)] == 1
            if plain and once and _obstacle(conv) == _obstacle(norm) == "":
                found.add(id(norm))
    return found


def _obstacle(module: nn.Module) -> str:
    """Return what about the module itself forbids folding, or nothing."""
    if module._forward_hooks or module._forward_pre_hooks:
        return "hooks on it"
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        if module.training:
            return "training mode"
        if module.running_mean is None:
            return "no running statistics"
    return ""
