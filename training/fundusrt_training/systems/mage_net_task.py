"""MAGE-Net's data: every good photograph once an epoch, degraded anew; bad ones beside them; validation by PSNR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.checkpoints import load_checkpoint
from fundusrt_training.data.degradation import degrade_8_bit
from fundusrt_training.data.enhancement import (
    EnhancementFiles,
    EnhancementPairs,
    PairBatch,
    PairDraw,
    degraded_pool,
    pair_degradation,
    read_enhancement,
)
from fundusrt_training.data.framed_eye import FramedEye, frame_eyes, to_planes
from fundusrt_training.data.planned_loader import planned_loader, shuffled_passes
from fundusrt_training.data.split import split
from fundusrt_training.enhancement_metrics import psnr, ssim
from fundusrt_training.systems.mage_net import MageNetModule
from fundusrt_training.systems.mage_net_config import MageNetConfig
from fundusrt_training.systems.preparation_log import log_preparation
from fundusrt_training.systems.resumable import part_of
from fundusrt_training.systems.task import Task, Validation, refuse_two_validations
from fundusrt_training.systems.vessel_config import VesselConfig
from fundusrt_training.systems.vessel_maps import VesselMaps

__all__ = ["MageNetTask"]

# Of the degradations of validation images: the same in every run, so that runs compare.
_VALIDATION_SEED = 20250
_ATTEMPTS = 20
Bytes = npt.NDArray[np.uint8]


class MageNetTask(Task):
    """MAGE-Net, or T-MAGE-Net.

    Args:
        config: the whole configuration.
    """

    system = "mage-net"
    config: MageNetConfig

    def __init__(self, config: MageNetConfig) -> None:
        self.config = config
        self._module = MageNetModule(config)
        self._clean: list[FramedEye] = []
        self._unlabelled: list[FramedEye] = []
        self._references: list[FramedEye] = []
        self._maps: VesselMaps | None = None
        checkpoint = config.data.vessel_checkpoint
        if config.data.vessels_first and config.has_structure and checkpoint is not None:
            self.start_from_other("vessel", *load_checkpoint(Path(checkpoint)))

    @property
    def module(self) -> MageNetModule:
        """The networks and their objective."""
        return self._module

    def start_from(self, state: dict[str, Tensor], config: dict[str, Any]) -> None:
        """Begin with another run's networks."""
        self.module.start_from(state, MageNetConfig.from_dict(config).net)

    def start_from_other(self, system: str, state: dict[str, Tensor], config: dict[str, Any]) -> None:
        """Begin with a vessel network as the structure module."""
        if system != "vessel":
            super().start_from_other(system, state, config)
        self.module.start_from_vessels(part_of(state, "network"), VesselConfig.from_dict(config).net)

    def prepare(self, data: Path, val: Path | None, cache: Path) -> None:
        """Frame every photograph and find the vessels, or take them from the cache."""
        config, side = self.config, self.config.data.side
        refuse_two_validations(val, config.split.fold)
        files = read_enhancement(data)
        self._check(data, files)
        clean, held_out = split(files.clean, config.split)
        if val is not None:
            held_out = read_enhancement(val).clean
        if config.data.passes * len(clean) < config.data.labelled:
            raise InvalidInput(
                data / "clean",
                got=f"{len(clean)} training images",
                expected=f"at least one batch, {config.data.labelled}",
                fix="lower data.labelled, or raise data.passes",
            )
        wanted = config.run.val_images or len(held_out)
        self._clean = frame_eyes(clean, side, cache, log_preparation("clean"))
        self._references = frame_eyes(held_out[:wanted], side, cache, log_preparation("validation"))
        if config.needs_unlabelled:
            self._unlabelled = frame_eyes(files.unlabelled, side, cache, log_preparation("unlabelled"))
        vessels = None
        if config.needs_vessels and config.data.vessel_checkpoint is not None:
            self._maps = VesselMaps(Path(config.data.vessel_checkpoint), config.data.vessel_threshold, cache)
            vessels = self._maps.find(clean, side, log_preparation("vessel"))
        pool = None
        if (count := config.data.degradations) is not None:
            pool = degraded_pool(self._clean, count, config.data.degradation, config.camera, cache, config.run.workers)
        self._pairs = EnhancementPairs(
            self._clean, self._unlabelled, config.data.degradation, config.data.flip, config.camera, vessels, pool
        )

    def hashes(self) -> dict[str, dict[str, Any]]:
        """Return the hashes of photographs, vessel masks and the vessel checkpoint."""
        parts = (("train", self._clean), ("unlabelled", self._unlabelled), ("val", self._references))
        found: dict[str, dict[str, Any]] = {part: {eye.name: eye.sha256 for eye in eyes} for part, eyes in parts}
        return found if self._maps is None else found | {"vessels": {"checkpoint": self._maps.sha256}}

    @property
    def steps_per_epoch(self) -> int:
        """Every good photograph `passes` times; the last, incomplete batch is dropped."""
        return self.config.data.passes * len(self._clean) // self.config.data.labelled

    def summary(self) -> str:
        """Return the numbers of photographs."""
        return (
            f"{len(self._clean)} good images, {len(self._unlabelled)} bad ones, {len(self._references)} for validation"
        )

    def loader(self, epoch: int, start: int) -> DataLoader[PairBatch]:
        """Return pairs in the epoch's own order, with bad photographs in passes of their own."""
        data, seed, steps = self.config.data, self.config.run.seed, self.steps_per_epoch
        order = shuffled_passes(len(self._clean), data.passes, (seed, 1, epoch))
        pairs = [PairDraw(int(eye), (seed, 2, epoch, place)) for place, eye in enumerate(order)]
        bad = [
            PairDraw(eye, (seed, 4, epoch, place), unlabelled=True)
            for place, eye in enumerate(self._bad_order(epoch, steps * data.unlabelled))
        ]
        batches = [
            pairs[i * data.labelled : (i + 1) * data.labelled] + bad[i * data.unlabelled : (i + 1) * data.unlabelled]
            for i in range(start, steps)
        ]
        return planned_loader(self._pairs, batches, self.config.run.workers, EnhancementPairs.collate)

    @property
    def can_validate(self) -> bool:
        """Whether there are validation images."""
        return bool(self._references)

    def validate(self) -> Validation:
        """Return the mean PSNR of degraded images once enhanced; further their SSIM, and both before enhancement."""
        device = next(self.module.parameters()).device
        scores: dict[str, float] = {}
        further: dict[str, list[float]] = {"ssim": [], "input_psnr": [], "input_ssim": []}
        picture = None
        for index, eye in enumerate(self._references):
            clean, fov, _ = eye.read()
            bad = self._degraded(index, clean, fov)
            better = _to_bytes(self.module.enhance(to_planes(bad)[None].to(device))[0].cpu()) * fov[..., None]
            scores[eye.name] = psnr(better, clean)
            for name, value in (
                ("ssim", ssim(better, clean)),
                ("input_psnr", psnr(bad, clean)),
                ("input_ssim", ssim(bad, clean)),
            ):
                further[name].append(value)
            if picture is None:
                picture = np.concatenate((bad, better, clean), axis=1)
        means = {name: float(np.mean(values)) for name, values in further.items()}
        return Validation("psnr", float(np.mean(list(scores.values()))), scores, picture, means)

    def _degraded(self, index: int, clean: Bytes, fov: npt.NDArray[np.bool_]) -> Bytes:
        """Return a validation image degraded: by the first of its draws that changes it.

        A blur alone may be one pixel wide in a small frame; the image it leaves as it was has no PSNR to compare with.
        """
        for attempt in range(_ATTEMPTS):
            drawn = pair_degradation((_VALIDATION_SEED, index, attempt), len(clean), self.config.data.degradation)
            bad = degrade_8_bit(clean, fov, drawn)
            if not np.array_equal(bad, clean):
                return bad
        raise InvalidInput(
            self._references[index].name,
            got=f"{_ATTEMPTS} degradations that leave it as it is",
            expected="a photograph that can be degraded",
            fix="leave it out, or widen data.degradation",
        )

    def _bad_order(self, epoch: int, count: int) -> list[int]:
        """Return `count` indices of bad photographs: whole shuffled passes, then part of one."""
        if not self._unlabelled:
            return []
        passes = -(-count // len(self._unlabelled))
        return shuffled_passes(len(self._unlabelled), passes, (self.config.run.seed, 3, epoch))[:count]

    def _check(self, data: Path, files: EnhancementFiles) -> None:
        """Raise UsageError where the folder lacks what the configuration needs, or brings it twice."""
        config = self.config
        if config.needs_unlabelled and not files.unlabelled:
            raise UsageError(
                data,
                got="no unlabelled/",
                expected="real photographs of low quality in it, for the teacher",
                fix="add them, set data.unlabelled=0 (the teacher only averages), or set teacher.enabled=false",
            )
        brought, checkpoint = files.has_vessels, config.data.vessel_checkpoint
        if config.needs_vessels and brought == (checkpoint is not None):
            raise UsageError(
                data,
                got=f"vessels/ and data.vessel_checkpoint {checkpoint}" if brought else "no vessels/",
                expected="the vessels of good photographs from one source",
                fix="set data.vessel_checkpoint null"
                if brought
                else "set data.vessel_checkpoint to weights of `fundusrt train vessel`, or loss.seg_weight=0",
            )


def _to_bytes(planes: Tensor) -> Bytes:
    """Return (H, W, 3) uint8 of (3, H, W) float32 in [0, 1]."""
    return torch.floor(planes * 255.0 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
