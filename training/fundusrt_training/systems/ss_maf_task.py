"""SS-MAF's data: photographs augmented at full size, every case once an epoch, validation by IoU over all pixels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from fundusrt.errors import InvalidInput
from fundusrt_training.data.exudates import ExudateCase, read_exudates
from fundusrt_training.data.exudates.pairs import ExudateBatch, ExudatePairs, PairDraw, network_input
from fundusrt_training.data.planned_loader import planned_loader
from fundusrt_training.data.split import split
from fundusrt_training.data.working_image import file_sha256
from fundusrt_training.overlay import overlay
from fundusrt_training.pooled_metrics import PooledMetrics, pooled_figures
from fundusrt_training.systems.initial_weights import refuse_other_network
from fundusrt_training.systems.ss_maf import SsMafModule
from fundusrt_training.systems.ss_maf_config import SsMafConfig
from fundusrt_training.systems.ss_maf_evaluator import count_pixels, exudate_mask, probability_map
from fundusrt_training.systems.task import Task, Validation, refuse_two_validations

__all__ = ["SsMafTask"]


class SsMafTask(Task):
    """SS-MAF, or one of its streams.

    Args:
        config: the whole configuration.
    """

    system = "ss-maf"
    config: SsMafConfig

    def __init__(self, config: SsMafConfig) -> None:
        self.config = config
        self._module = SsMafModule(config)
        self._cases: list[ExudateCase] = []
        self._references: list[ExudateCase] = []

    @property
    def module(self) -> SsMafModule:
        """The networks and their objective."""
        return self._module

    def start_from(self, state: dict[str, Tensor], config: dict[str, Any]) -> None:
        """Begin with another run's network; how that one began does not matter."""
        before = dataclasses.replace(SsMafConfig.from_dict(config).net, prior=self.config.net.prior)
        refuse_other_network(before, self.config.net, "net")
        self.module.load_weights(state)

    def prepare(self, data: Path, val: Path | None, cache: Path) -> None:
        """Find the images; they are read when their turn comes, and the first `run.keep_mib` of them then kept."""
        del cache
        config = self.config
        refuse_two_validations(val, config.split.fold)
        self._cases, held_out = split(read_exudates(data), config.split)
        if val is not None:
            held_out = read_exudates(val, "test")
        self._references = held_out[: config.run.val_images or len(held_out)]
        if self.steps_per_epoch < 1:
            raise InvalidInput(
                data,
                got=f"{len(self._cases)} training images, {config.data.repeats} times an epoch",
                expected=f"at least one batch, {config.optim.batch}",
                fix="lower optim.batch",
            )
        keep = config.run.keep_mib * 2**20
        self._pairs = ExudatePairs(self._cases, config.data, config.aug, config.camera, keep=keep)

    def hashes(self) -> dict[str, dict[str, Any]]:
        """Return the hashes of photographs and annotations."""
        parts = (("train", self._cases), ("val", self._references))
        return {
            part: {case.name: [file_sha256(file) for file in (case.image, *case.annotation)] for case in cases}
            for part, cases in parts
        }

    @property
    def steps_per_epoch(self) -> int:
        """Every image `data.repeats` times; the last, incomplete batch is dropped."""
        return len(self._cases) * self.config.data.repeats // self.config.optim.batch

    def summary(self) -> str:
        """Return the number of images."""
        marked = sum(bool(case.annotation) for case in self._cases)
        return f"{len(self._cases)} images ({marked} with an annotation), {len(self._references)} for validation"

    def loader(self, epoch: int, start: int) -> DataLoader[ExudateBatch]:
        """Return the images in the epoch's own order."""
        seed, batch = self.config.run.seed, self.config.optim.batch
        order = np.random.default_rng((seed, 1, epoch)).permutation(len(self._cases) * self.config.data.repeats)
        draws = [
            PairDraw(int(case) % len(self._cases), (seed, 2, epoch, int(place))) for place, case in enumerate(order)
        ]
        batches = [draws[i * batch : (i + 1) * batch] for i in range(start, self.steps_per_epoch)]
        if self.config.run.workers:
            self._pairs.read_ahead()  # loader processes begin anew with every epoch
        return planned_loader(self._pairs, batches, self.config.run.workers)

    @property
    def can_validate(self) -> bool:
        """Whether there are validation images."""
        return bool(self._references)

    def validate(self) -> Validation:
        """Return the IoU over all pixels, as `fundusrt evaluate` counts them."""
        images: list[PooledMetrics] = []
        scores: dict[str, float] = {}
        picture = None
        for case in self._references:
            lr = network_input(case, self.config.data, self.config.net.divisor)
            p, reference = probability_map(self.module, lr), case.mask()
            images.append(count_pixels(p, reference))
            scores[case.name] = images[-1].scores().iou
            if picture is None:
                low = ((lr.numpy().transpose(1, 2, 0) * self.config.data.std + self.config.data.mean) * 255).clip(
                    0, 255
                )
                picture = overlay(low.astype(np.uint8), exudate_mask(p, reference.shape), reference)
        pool = pooled_figures(images, np.arange(len(images))[None])
        return Validation("iou", float(pool["iou"][0]), scores, picture)
