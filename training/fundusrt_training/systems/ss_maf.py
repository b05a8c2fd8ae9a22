"""SS-MAF: one network, trained on segmentation and super-resolution at once (SS-MAF paper, Methods)."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional as F

from fundusrt_training.data.exudates.pairs import ExudateBatch
from fundusrt_training.losses.ss_maf import ss_maf_losses
from fundusrt_training.models.ss_maf import SsMaf, SsMafOutputs
from fundusrt_training.systems.resumable import ResumableModule
from fundusrt_training.systems.ss_maf_config import SsMafConfig

__all__ = ["SsMafModule"]


class SsMafModule(ResumableModule):
    """The network, its objective and optimiser.

    Args:
        config: the whole configuration; the weights follow from its seed.
    """

    config: SsMafConfig

    def __init__(self, config: SsMafConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SsMafConfig()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.run.seed)
            self.network = SsMaf(config.net)
        if config.run.channels_last:
            self.to(memory_format=torch.channels_last)  # pyright: ignore (overload without dtype is missing)

    @property
    def label(self) -> str:
        """Return the stream: what a message calls this module."""
        return f"stream {self.config.net.stream}"

    def parts(self) -> dict[str, nn.Module]:
        """Return the one network."""
        return {"network": self.network}

    def step_losses(self, batch: ExudateBatch) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return the terms of the objective that the stream has."""
        enabled = self.config.run.precision == "bf16"
        lr, hr = (batch[name].expand(-1, 3, -1, -1) for name in ("lr", "hr"))
        with torch.autocast(lr.device.type, dtype=torch.bfloat16, enabled=enabled):
            outputs = self.network(lr)
        assert isinstance(outputs, SsMafOutputs), "a network in training returns all it has"
        labels = batch["labels"].long()
        if outputs.seg.shape[2:] != labels.shape[1:]:  # stream `unet` answers at the input's size
            size = (outputs.seg.shape[2], outputs.seg.shape[3])
            labels = F.interpolate(labels[:, None].float(), size, mode="nearest")[:, 0].long()
        return ss_maf_losses(outputs, labels, hr, self.config.loss), {}

    def probability(self, lr: Tensor) -> Tensor:
        """Return the probability of exudates, (N, H, W) float32, of inputs (N, 3, h, w); as it is deployed."""
        training = self.network.training
        self.network.eval()
        try:
            with torch.inference_mode():
                logits = self.network(lr)
        finally:
            self.network.train(training)
        assert isinstance(logits, Tensor), "a network in evaluation returns the segmentation alone"
        return logits.float().softmax(dim=1)[:, 1]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """SGD whose rate falls with every step to 0 at the run's end."""
        optim, steps = self.config.optim, max(1, self.batches_per_epoch * self.config.optim.epochs)
        optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=optim.lr,
            momentum=optim.momentum,
            nesterov=optim.nesterov,
            weight_decay=optim.wd,
        )
        scheduler = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=steps, power=optim.poly)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
