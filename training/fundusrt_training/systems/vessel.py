"""AG-Net on vessels: the first phase of MAGE-Net's training (MAGE-Net paper, Implementation)."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from fundusrt_training.data.vessels.crops import VesselBatch
from fundusrt_training.losses.vessels import vessel_cross_entropy
from fundusrt_training.models.ag_net import AgNet
from fundusrt_training.systems.adam_config import adam
from fundusrt_training.systems.resumable import ResumableModule
from fundusrt_training.systems.vessel_config import VesselConfig

__all__ = ["VesselModule", "vessel_probability"]


class VesselModule(ResumableModule):
    """The network, its objective and optimiser.

        L = sum of the cross-entropies of the four side outputs and of their average

    Args:
        config: the whole configuration; the weights follow from its seed.
    """

    config: VesselConfig

    def __init__(self, config: VesselConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VesselConfig()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.run.seed)
            self.network = AgNet(config.net)
        if config.run.channels_last:
            self.to(memory_format=torch.channels_last)  # pyright: ignore (overload without dtype is missing)

    @property
    def label(self) -> str:
        """Return what a message calls this module."""
        return "AG-Net"

    def parts(self) -> dict[str, nn.Module]:
        """Return the one network."""
        return {"network": self.network}

    def step_losses(self, batch: VesselBatch) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return the cross-entropy of each output, `side1` (coarse) to `side4` and `average`, and their sum."""
        images, bf16 = batch["image"], self.config.run.precision == "bf16"
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=bf16):
            maps = self.network(images).maps
        names = (*(f"side{place}" for place in range(1, len(maps))), "average")
        terms = {name: vessel_cross_entropy(each, batch["vessels"]) for name, each in zip(names, maps, strict=True)}
        return terms | {"loss": torch.stack(list(terms.values())).sum()}, {}

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam; the rate falls with every step."""
        optim = self.config.optim
        return adam(self.network.parameters(), optim, self.batches_per_epoch * optim.epochs)


def vessel_probability(network: AgNet, images: Tensor) -> Tensor:
    """Return the average output's probability of vessels, (N, H, W) float32, of (N, 3, H, W) images in [0, 1]."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            return network(images).maps[-1].float().softmax(dim=1)[:, 1]
    finally:
        network.train(training)
