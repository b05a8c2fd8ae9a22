"""MAGE-Net, and with a mean teacher T-MAGE-Net (paper, Methods).

L = L_sup(student(x), target) + mu(t) L_con(student(u), teacher(u + noise)),    x degraded, u real bad photographs
"""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from fundusrt.errors import UsageError
from fundusrt_training.data.enhancement import PairBatch
from fundusrt_training.losses.mage_net import mage_losses
from fundusrt_training.models.ag_net import AgNetConfig
from fundusrt_training.models.mage_net import MageConfig, MageNet, MageOutputs
from fundusrt_training.systems.adam_config import adam
from fundusrt_training.systems.initial_weights import refuse_other_network
from fundusrt_training.systems.mage_net_config import MageNetConfig
from fundusrt_training.systems.mean_teacher import MeanTeacher, consistency, noisy, ramp
from fundusrt_training.systems.resumable import ResumableModule, part_of

__all__ = ["MageNetModule"]


class MageNetModule(ResumableModule):
    """Student, teacher, their objective and the optimiser.

    Args:
        config: the whole configuration; the weights follow from its seed.
    """

    config: MageNetConfig

    def __init__(self, config: MageNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MageNetConfig()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.run.seed)
            self.student = MageNet(config.net)
        if config.run.channels_last:
            self.student.to(memory_format=torch.channels_last)  # pyright: ignore (overload without dtype is missing)
        self.teacher = MeanTeacher(self.student, config.teacher) if config.teacher.enabled else None

    @property
    def label(self) -> str:
        """Return what a message calls this module."""
        return "MAGE-Net" if self.teacher is None else "T-MAGE-Net"

    def parts(self) -> dict[str, nn.Module]:
        """Return `student` and, where there is one, `teacher`."""
        return {"student": self.student} | ({} if self.teacher is None else {"teacher": self.teacher.network})

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return max(1, self.batches_per_epoch * self.config.optim.epochs)

    def step_losses(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return the terms of L_sup, `sup`, `con` where there are bad photographs, and L, `loss`; further mu."""
        terms = mage_losses(
            self._run(self.student, batch["image"]), batch["target"], batch.get("vessels"), self.config.loss
        )
        terms["sup"] = terms["loss"]
        bad = batch.get("unlabelled")
        if bad is None or self.teacher is None:
            return terms, {}
        teacher, step = self.config.teacher, self.progress.step
        seen_by_teacher = noisy(bad, teacher, self._noise(step))
        terms["con"] = consistency(self._run(self.student, bad), self._run(self.teacher, seen_by_teacher))
        mu = ramp(step, self.steps, teacher)
        return terms | {"loss": terms["sup"] + mu * terms["con"]}, {"mu": mu}

    def after_step(self) -> None:
        """Let the teacher follow; the step is counted already."""
        if self.teacher is not None:
            self.teacher.follow(self.student, self.progress.step - 1)

    def enhance(self, images: Tensor) -> Tensor:
        """Return (N, 3, H, W) float32 in [0, 1] of such images: the last stage of what is deployed."""
        network = self.parts()[self.config.deployed]
        training = network.training
        network.eval()
        try:
            with torch.inference_mode():
                return network(images).stages[-1].float().clamp(0.0, 1.0)
        finally:
            network.train(training)

    def start_from(self, state: dict[str, Tensor], net: MageConfig) -> None:
        """Take over another run's weights; a teacher whose weights are missing begins as the student.

        Args:
            state: `student.*` and perhaps `teacher.*`, as `weights` returns them.
            net: the network they are of; it may split the image otherwise, which no weight depends on.

        Raises:
            UsageError: another network.
        """
        refuse_other_network(dataclasses.replace(net, split=self.config.net.split), self.config.net, "net")
        student = part_of(state, "student")
        found = {"student": student, "teacher": part_of(state, "teacher") or student}
        self.load_weights({f"{part}.{name}": value for part in self.parts() for name, value in found[part].items()})

    def start_from_vessels(self, network: dict[str, Tensor], net: AgNetConfig) -> None:
        """Take over a vessel network as the structure module, of student and teacher.

        Args:
            network: its weights.
            net: its configuration.

        Raises:
            UsageError: another network, or no structure module.
        """
        if not self.config.has_structure:
            raise UsageError(
                "--init",
                got="weights of system vessel",
                expected="weights of mage-net: this network has no structure module",
                fix="leave --init out, or set net.use_rsp true and net.stages 2",
            )
        refuse_other_network(net, self.config.net.rsp, "net.rsp")
        modules = {f"{part}.rsp.{name}": value for part in self.parts() for name, value in network.items()}
        self.load_weights(self.weights() | modules)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam over the student; the rate falls with every step."""
        return adam(self.student.parameters(), self.config.optim, self.steps)

    def _run(self, network: nn.Module, images: Tensor) -> MageOutputs:
        """Run student or teacher in the run's precision; stages' images are float32, for the input is added to them."""
        bf16 = self.config.run.precision == "bf16"
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=bf16):
            return cast(MageOutputs, network(images))

    def _noise(self, step: int) -> torch.Generator:
        """Return where the noise of a step comes from."""
        seed = np.random.SeedSequence((self.config.run.seed, 3, step)).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed >> np.uint64(1)))
