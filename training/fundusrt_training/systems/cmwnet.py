"""CMWNet: a whole-image branch L and a tile branch S, trained together (paper, Methods).

    L3   = (1 - alpha) L1 + alpha L2          L1, L2: segmentation losses of L and S
    Loss = L3 + beta L4                       L4: consistency of the two outputs; beta ~ U(0, 1)
    after each optimiser step:  theta_L <- (1 - alpha) theta_L + alpha theta_S

The average runs from the tile branch to the whole-image branch, and alpha weighs the *new* weights: the reverse of mean
teacher. The ablations `crop` and `down` train one branch with its own loss alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from fundusrt.errors import UsageError
from fundusrt_training.data.leakage import Batch
from fundusrt_training.losses.consistency import consistency_loss
from fundusrt_training.losses.segmentation import SegmentationLoss
from fundusrt_training.models.backbones import make_backbone
from fundusrt_training.models.deepen import can_deepen, deepened
from fundusrt_training.models.planar_norm import use_planar_norm
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.systems.resumable import ResumableModule, part_of

__all__ = ["CmwnetModule"]


class CmwnetModule(ResumableModule):
    """Both branches, their losses, the optimiser and the average.

    Args:
        config: the whole configuration; weights follow from its seed, each branch's whether the other is there or not:
            `crop` and `down` start as the branches of `cmwnet` do.
    """

    config: CmwnetConfig

    def __init__(self, config: CmwnetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CmwnetConfig()
        first = 1 if config.ema.start == "same" else 0
        self.large = None if config.mode == "crop" else _build(config, config.whole.size, first)
        self.small = None if config.mode == "down" else _build(config, config.tile.size, 1)
        if self.large is not None and not self.large_learns:
            self.large.requires_grad_(requires_grad=False)
        self.segmentation_loss = SegmentationLoss(config.loss)
        if config.run.channels_last:
            self.to(memory_format=torch.channels_last)  # pyright: ignore (overload without dtype is missing)
            if config.run.precision == "bf16":
                use_planar_norm(self)

    def forward(self, branch: nn.Module, images: Tensor) -> Tensor:
        """Run one branch: images (N, C, H, W) float32 to logits (N, 1, H, W), bf16 under autocast."""
        if self.config.run.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        enabled = self.config.run.precision == "bf16"
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=enabled):
            return branch(images)

    def losses(self, batch: Batch, beta: float) -> dict[str, Tensor]:
        """Return the terms that apply in this mode: L1, L2, L3, L4 and the `loss` to minimise."""
        alpha = self.config.ema.alpha
        terms: dict[str, Tensor] = {}
        large_logits = small_logits = None
        if self.large is not None:
            with torch.set_grad_enabled(self.large_learns and torch.is_grad_enabled()):
                large_logits = self(self.large, batch["whole"])
                terms["L1"] = self.segmentation_loss(large_logits, batch["whole_mask"])
        if self.small is not None:
            small_logits = self(self.small, batch["tile"])
            terms["L2"] = self.segmentation_loss(small_logits, batch["tile_mask"])
        if large_logits is None or small_logits is None:
            return terms | {"loss": terms["L2" if large_logits is None else "L1"]}
        terms["L3"] = (1 - alpha) * terms["L1"] + alpha * terms["L2"]
        terms["L4"] = consistency_loss(large_logits, small_logits, batch["window"], self.config.consistency)
        return terms | {"loss": terms["L3"] + beta * terms["L4"]}

    @property
    def large_learns(self) -> bool:
        """Whether the whole-image branch gets gradients."""
        return self.config.mode == "down" or self.config.ema.large_grad

    def beta(self, step: int) -> float:
        """Return the weight of L4 at a step: a function of the seed, so that a resumed run draws the same."""
        beta = self.config.beta
        if beta.mode == "const":
            return cast(float, beta.value)
        key = (self.config.run.seed, 4) if beta.mode == "run" else (self.config.run.seed, 4, step)
        return float(np.random.default_rng(key).random())

    def step_losses(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return the terms of this step's loss, and its beta where both branches are trained."""
        beta = self.beta(self.progress.step)
        return self.losses(batch, beta), {"beta": beta} if self.config.mode == "cmwnet" else {}

    def before_step(self) -> None:
        """Let the whole-image branch follow between epochs, not after the last: it has trained since it last moved."""
        at = self.progress
        if self.config.ema.every == "epoch" and at.batch == 0 and at.epoch > 0:
            self.follow()

    def after_step(self) -> None:
        """Let the whole-image branch follow after each step."""
        if self.config.ema.every == "step":
            self.follow()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip each branch by itself, at the limit times its loss's weight in L3.

        The branches share no weights: a limit on their joint norm would let one branch's outliers slow the other, and a
        limit that ignores the weight would mean something else than in `crop` and `down`.
        """
        del optimizer, gradient_clip_algorithm
        if gradient_clip_val is None:
            return
        alpha, both = self.config.ema.alpha, self.config.mode == "cmwnet"
        for branch, weight in ((self.large, 1 - alpha), (self.small, alpha)):
            if branch is not None and (weight > 0 or not both):
                torch.nn.utils.clip_grad_norm_(branch.parameters(), gradient_clip_val * (weight if both else 1.0))

    @torch.no_grad()
    def follow(self) -> None:
        """theta_L <- (1 - alpha) theta_L + alpha theta_S; nothing in the one-branch modes."""
        if self.large is None or self.small is None:
            return
        for large, small in zip(self.large.parameters(), self.small.parameters(), strict=True):
            large.lerp_(small, self.config.ema.alpha)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW over every branch that learns; cosine annealing per epoch."""
        optim = self.config.optim
        branches = [self.large if self.large_learns else None, self.small]
        parameters = [p for branch in branches if branch is not None for p in branch.parameters()]
        optimizer = torch.optim.AdamW(
            parameters, lr=optim.lr, betas=optim.betas, weight_decay=optim.wd, amsgrad=optim.amsgrad, fused=True
        )
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=optim.tmax, eta_min=optim.eta_min)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "epoch"}}

    @property
    def label(self) -> str:
        """Return the mode: what a message calls this module."""
        return f"mode {self.config.mode}"

    def parts(self) -> dict[str, nn.Module]:
        """Return `large` and `small`, as far as the mode has them."""
        return {name: part for name, part in (("large", self.large), ("small", self.small)) if part is not None}

    def start_from(self, state: dict[str, Tensor], config: CmwnetConfig) -> None:
        """Take over the branches this mode has from the weights of another run; a shallower network is deepened.

        Args:
            state: `large.*` and `small.*` as `weights` returns them; branches this mode lacks are left out, and
                branches without weights keep their own.
            config: the configuration they were trained with.

        Raises:
            UsageError: another network, or no branch in common.
        """
        before, now = replace(config.unet, wavelet_form=self.config.unet.wavelet_form), self.config.unet
        deeper = self.config.backbone == "unet_wavelet" and can_deepen(before, now)
        same = (config.backbone, config.transformer) == (self.config.backbone, self.config.transformer)
        if not same or not (before == now or deeper):
            raise UsageError(
                "--init",
                got=f"weights of another network: {config.backbone}, {config.unet}",
                expected=f"{self.config.backbone}, {now}",
                fix="set the same unet.* values",
            )
        own = self.weights()
        found: dict[str, Tensor] = {}
        for branch in self.parts():
            theirs = part_of(state, branch)
            if theirs and deeper:
                theirs = deepened(theirs, before, part_of(own, branch), now)
            found |= {f"{branch}.{name}": value for name, value in theirs.items()}
        if not found:
            raise UsageError(
                "--init",
                got=f"no weights for mode {self.config.mode}",
                expected="weights of at least one of its branches",
                fix="give a checkpoint of this mode or of mode cmwnet",
            )
        self.load_weights(own | found)


def _build(config: CmwnetConfig, side: int, branch: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2 * config.run.seed + branch)
        return make_backbone(config.backbone, config.unet, config.transformer, side)
