"""MAGE-Net's scores: PSNR and SSIM of degraded photographs once enhanced, means over images (paper, Evaluation).

Enhanced images are judged as they are deployed: 8-bit, black outside the field of view. The same figures before
enhancement stand beside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from fundusrt.errors import UsageError
from fundusrt_training.data.enhancement.degraded_folder import DegradedCase, read_degraded
from fundusrt_training.data.framed_eye import Bytes, to_pixels, to_planes
from fundusrt_training.enhancement_metrics import LARGEST_PSNR, psnr, ssim
from fundusrt_training.systems.evaluator import Evaluator, Metric
from fundusrt_training.systems.mage_net import MageNetModule
from fundusrt_training.systems.mage_net_config import MageNetConfig

__all__ = ["EnhancementScores", "MageEvaluator"]


@dataclass(frozen=True)
class EnhancementScores:
    """Of one image, against the good photograph; `input_*` are those of the degraded one. PSNR in dB."""

    psnr: float
    ssim: float
    input_psnr: float
    input_ssim: float


class MageEvaluator(Evaluator[DegradedCase, EnhancementScores]):
    """Scores what is deployed: the teacher, or the student."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("psnr", "PSNR", 2),
        Metric("ssim", "SSIM"),
        Metric("input_psnr", "PSNR before", 2),
        Metric("input_ssim", "SSIM before"),
    )
    note: ClassVar[str] = "PSNR in dB"
    adjustable: ClassVar[tuple[str, ...]] = ("export.", "run.")

    def __init__(
        self, config: MageNetConfig, modes: Sequence[str], state: dict[str, Tensor], device: torch.device, cache: Path
    ) -> None:
        del cache  # photographs are read when their turn comes
        (self._mode,) = modes
        self._device = device
        self._module = MageNetModule(config)
        self._module.load_weights(state)
        self._module.to(device)

    @classmethod
    def own_mode(cls, config: MageNetConfig) -> str:
        """Return which weights are deployed."""
        return config.deployed

    @classmethod
    def cases(cls, data: Path, *, held_out: bool) -> list[DegradedCase]:
        """Return the degraded photographs of a folder that `fundusrt degrade` wrote."""
        if held_out:
            raise UsageError(
                "--held-out",
                got="mage-net, which is scored on degraded photographs",
                expected="a folder written by `fundusrt degrade`",
                fix="degrade the photographs that were held out, and leave --held-out out",
            )
        return read_degraded(data)

    def score(self, case: DegradedCase) -> dict[str, EnhancementScores]:
        """Return the scores of the enhanced photograph at its own size."""
        bad, good, fov = case.read()
        better = self._enhance(bad) * fov[..., None]
        return {self._mode: EnhancementScores(psnr(better, good), ssim(better, good), psnr(bad, good), ssim(bad, good))}

    def _enhance(self, pixels: Bytes) -> Bytes:
        return to_pixels(self._module.enhance(to_planes(pixels)[None].to(self._device))[0].cpu())

    @classmethod
    def columns(cls, score: EnhancementScores) -> dict[str, Any]:
        """Return the metrics."""
        return dataclasses.asdict(score)

    @classmethod
    def counts(cls, scores: Sequence[EnhancementScores]) -> dict[str, int]:
        """Return the number of images that the degradation left as they were: their PSNR before is 100 by convention.

        A blur may be one pixel wide in a small frame.
        """
        return {"not_degraded": sum(each.input_psnr == LARGEST_PSNR for each in scores)}
