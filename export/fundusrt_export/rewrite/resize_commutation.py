"""SS-MAF's up-step with its 1x1 convolution before the resize.

    ReLU(BN(conv1x1(resize(x)))) = ReLU(resize(BN(conv1x1(x))))

A 1x1 convolution and a normalisation in eval mode map each pixel by the same affine map, and each resized pixel is a
weighted mean of pixels, with weights that sum to 1: the two may change places. The ReLU may not. At half the height and
width the convolution has a quarter of the work.
"""

from __future__ import annotations

import copy
import logging
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fundusrt_export.errors import RewriteDeclined
from fundusrt_export.rewrite.proof import Example, prove_equal
from fundusrt_training.models.ss_maf import UpStep

__all__ = ["CommutedUpStep", "commute_resizes"]

logger = logging.getLogger(__name__)


class CommutedUpStep(nn.Module):
    """`UpStep` that resizes after its 1x1 convolution; parameters keep their names.

    Args:
        step: the original; its parts are used, not copied.
    """

    def __init__(self, step: UpStep) -> None:
        super().__init__()
        self.reduce = step.reduce
        self.convs = step.convs

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (N, 2C, h, w) and the skip (N, C, 2h, 2w) to (N, C, 2h, 2w)."""
        conv, norm, relu = self.reduce
        size = (skip.shape[-2], skip.shape[-1])
        x = relu(F.interpolate(norm(conv(x)), size, mode="bilinear", align_corners=True))
        return cast(Tensor, self.convs(torch.cat((x, skip), dim=1)))


def commute_resizes(model: nn.Module, *, example: Example | None = None) -> nn.Module:
    """Return a deep copy of `model` with every `UpStep` as `CommutedUpStep`.

    Legal cases: exactly `UpStep` whose `reduce` is 1. a `Conv2d` of kernel 1, stride 1 and padding 0, with or without
    bias; 2. a `BatchNorm2d` in eval mode, or an `Identity` where it was folded; 3. a `ReLU`; none of them with hooks.

    Declines, naming the step: a larger kernel, stride or padding (a convolution that sees neighbours, or zeros beyond
    the border, does not commute with a resize), a normalisation in training mode (its statistics would be those of the
    smaller map), another activation or normalisation, a subclass.

    Args:
        model: not modified.
        example: inputs of the model; if given, each step is proved equal on what it receives there.

    Raises:
        RewriteDeclined: a case listed above.
        RewriteMismatch: the outputs differ (float32: 1e-5).
    """
    replacements: dict[int, nn.Module] = {}
    paths: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        if isinstance(module, UpStep):
            _check(path, module)
            paths[path] = replacements[id(module)] = CommutedUpStep(copy.deepcopy(module)).train(module.training)
    rewritten = copy.deepcopy(model, dict(replacements))
    logger.info("resized after %d convolutions instead of before", len(paths))
    if example is not None:
        prove_equal(model, paths, example)
    return rewritten


def _check(path: str, step: UpStep) -> None:
    parts = list(step.reduce)
    obstacle = ""
    if type(step) is not UpStep or len(parts) != 3:
        obstacle = type(step).__name__
    elif any(part._forward_hooks or part._forward_pre_hooks for part in (step, step.reduce, *parts)):
        obstacle = "hooks, which would be lost"
    else:
        obstacle = _conv_obstacle(parts[0]) or _norm_obstacle(parts[1])
        if not obstacle and type(parts[2]) is not nn.ReLU:
            obstacle = type(parts[2]).__name__
    if obstacle:
        raise RewriteDeclined(
            f"resize commutation, {path or '(model)'}",
            got=obstacle,
            expected="an UpStep of a 1x1 convolution, a normalisation in eval mode and a ReLU",
            fix="export without this rewrite",
        )


def _conv_obstacle(conv: nn.Module) -> str:
    if type(conv) is not nn.Conv2d:
        return type(conv).__name__
    geometry = (conv.kernel_size, conv.stride, conv.padding)
    return "" if geometry == ((1, 1), (1, 1), (0, 0)) else f"a convolution of kernel, stride, padding {geometry}"


def _norm_obstacle(norm: nn.Module) -> str:
    if type(norm) is nn.Identity:
        return ""
    if type(norm) is not nn.BatchNorm2d:
        return type(norm).__name__
    return "a normalisation in training mode" if norm.training or norm.running_mean is None else ""
