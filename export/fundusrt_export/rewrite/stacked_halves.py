"""MAGE-Net's two halves on the batch axis by reshaping, which exporters can follow with a free batch.

Training joins the halves' results by cutting the batch axis in two; traced, that fixes the batch. Here the halves of
each image follow one another,

    (N, C, H, W) -> (N, C, 2, H/2, W) -> (N, 2, C, H/2, W) -> (2N, C, H/2, W)

and are joined the same way backwards, with no size but the image's own in the graph. The encoder treats each image of a
batch by itself, so their order does not matter.
"""

from __future__ import annotations

import copy
import dataclasses
import logging

from torch import Tensor, nn

from fundusrt_export.errors import RewriteDeclined
from fundusrt_export.rewrite.proof import Example, prove_equal
from fundusrt_training.models.channel_attention import CAB, ChannelAttention
from fundusrt_training.models.mage_net import Stage1

__all__ = ["StackedHalves", "stack_halves"]

logger = logging.getLogger(__name__)

_EACH_IMAGE_BY_ITSELF = (
    nn.Sequential, nn.ModuleList, nn.Conv2d, nn.PReLU, nn.ReLU, nn.Sigmoid, nn.Identity, nn.AdaptiveAvgPool2d, CAB,
    ChannelAttention,
)  # fmt: skip


class StackedHalves(Stage1):
    """`Stage1` of a split image; parameters keep their names.

    Args:
        stage: the original; its parts are used, not copied.
    """

    def __init__(self, stage: Stage1) -> None:
        nn.Module.__init__(self)
        self.across = stage.config.split == "width"
        # To the rest of the stage the encoder now sees the whole image.
        self.config = dataclasses.replace(stage.config, split="none")
        for name, child in stage.named_children():
            self.add_module(name, child)

    def _encode(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._joined(e) for e in super()._encode(self._halves(x)))

    def _halves(self, x: Tensor) -> Tensor:
        channels, height, width = x.shape[1:]
        if self.across:
            parts = x.reshape(-1, channels, height, 2, width // 2).permute(0, 3, 1, 2, 4)
            return parts.reshape(-1, channels, height, width // 2)
        parts = x.reshape(-1, channels, 2, height // 2, width).transpose(1, 2)
        return parts.reshape(-1, channels, height // 2, width)

    def _joined(self, e: Tensor) -> Tensor:
        channels, height, width = e.shape[1:]
        pairs = e.reshape(-1, 2, channels, height, width)
        if self.across:
            return pairs.permute(0, 2, 3, 1, 4).reshape(-1, channels, height, 2 * width)
        return pairs.transpose(1, 2).reshape(-1, channels, 2 * height, width)


def stack_halves(model: nn.Module, *, example: Example | None = None) -> nn.Module:
    """Return a deep copy of `model` in which every `Stage1` that splits its image is a `StackedHalves`.

    Legal cases: exactly `Stage1`, split by height or width, made of modules that treat each image of a batch by itself,
    without hooks. A stage that does not split is left as it is.

    Declines, naming the stage: a subclass, hooks, a module that may look across the batch (batch normalisation).

    Args:
        model: not modified.
        example: inputs of the model; if given, each stage is proved equal on what it receives there. Two different
            images show an order that is wrong.

    Raises:
        RewriteDeclined: a case listed above.
        RewriteMismatch: the outputs differ (float32: 1e-5).
    """
    replacements: dict[int, nn.Module] = {}
    paths: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        if isinstance(module, Stage1) and module.config.split != "none":
            _check(path, module)
            paths[path] = replacements[id(module)] = StackedHalves(copy.deepcopy(module)).train(module.training)
    rewritten = copy.deepcopy(model, dict(replacements))
    logger.info("stacked the halves of %d stages by reshaping", len(paths))
    if example is not None and paths:
        prove_equal(model, paths, example)
    return rewritten


def _check(path: str, stage: Stage1) -> None:
    inside = list(stage.modules())
    strange = [type(module).__name__ for module in inside[1:] if type(module) not in _EACH_IMAGE_BY_ITSELF]
    obstacle = ""
    if type(stage) is not Stage1:
        obstacle = type(stage).__name__
    elif strange:
        obstacle = f"{strange[0]}, which may look across the batch"
    elif any(module._forward_hooks or module._forward_pre_hooks for module in inside):
        obstacle = "hooks, which would see other batches"
    if obstacle:
        raise RewriteDeclined(
            f"stacked halves, {path or '(model)'}",
            got=obstacle,
            expected="a Stage1 that treats each image of a batch by itself",
            fix="export a network with split none",
        )
