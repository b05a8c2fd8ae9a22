"""AG-Net's scores: its vessels inside the field of view, means over images (AG-Net paper, Evaluation)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fundusrt.errors import InvalidInput
from fundusrt_training.data.framed_eye import EyeFiles, FramedEye, frame_eye, to_planes
from fundusrt_training.data.vessels import read_vessels
from fundusrt_training.systems.evaluator import Evaluator, Metric
from fundusrt_training.systems.vessel import VesselModule, vessel_probability
from fundusrt_training.systems.vessel_config import VesselConfig
from fundusrt_training.vessel_metrics import VesselScores, vessel_scores

__all__ = ["VesselEvaluator", "find_vessels"]

_HALF = 128  # of 255: a pixel at least half covered is a vessel


class VesselEvaluator(Evaluator[EyeFiles, VesselScores]):
    """Scores whole frames of the size that was trained on."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("auc", "AUC"),
        Metric("accuracy", "acc."),
        Metric("iou", "IoU"),
        Metric("dice", "dice"),
    )
    note: ClassVar[str] = "inside the field of view"

    def __init__(
        self, config: VesselConfig, modes: Sequence[str], state: dict[str, Tensor], device: torch.device, cache: Path
    ) -> None:
        (self._mode,) = modes
        self._side = config.data.side
        self._cache = cache
        self._module = VesselModule(config)
        self._module.load_weights(state)
        self._module.to(device)

    @classmethod
    def own_mode(cls, config: VesselConfig) -> str:
        """Return the system's name: it is trained in one way."""
        del config
        return "vessel"

    @classmethod
    def cases(cls, data: Path, *, held_out: bool) -> list[EyeFiles]:
        """Return the test part of a data set that has one, and any other data set whole."""
        return read_vessels(data, "train" if held_out else "test")

    def score(self, case: EyeFiles) -> dict[str, VesselScores]:
        """Return the scores of one photograph."""
        p, reference, fov = find_vessels(self._module, frame_eye(case, self._side, self._cache))
        return {self._mode: vessel_scores(p, reference, fov)}

    @classmethod
    def columns(cls, score: VesselScores) -> dict[str, Any]:
        """Return the metrics."""
        return dataclasses.asdict(score)


def find_vessels(
    module: VesselModule, eye: FramedEye
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the network's vessel map of a frame, (side, side) float32, its reference and field of view, both bool.

    Raises:
        InvalidInput: a frame without a reference.
    """
    pixels, fov, vessels = eye.read()
    if vessels is None:
        raise InvalidInput(eye.name, got="no vessels", expected="a vessel mask", fix="add it, or leave the image out")
    device = next(module.parameters()).device
    p = vessel_probability(module.network, to_planes(pixels)[None].to(device))[0].cpu().numpy()
    return p, vessels >= _HALF, fov
