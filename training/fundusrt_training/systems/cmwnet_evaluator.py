"""CMWNet's scores: masks of the deployed pipeline at the original resolution, means over images (paper, Evaluation)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from fundusrt_training.data.folder import Case, read_folder
from fundusrt_training.data.working_image import prepare
from fundusrt_training.inference import branch_maps, combine, torch_pipeline
from fundusrt_training.metrics import Scores, score
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig, Mode
from fundusrt_training.systems.evaluator import Evaluator, Metric

__all__ = ["CmwnetEvaluator"]


class CmwnetEvaluator(Evaluator[Case, Scores]):
    """Scores both branches fused, or one of them, without running a network twice for several modes."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("dice", "dice"),
        Metric("precision", "prec."),
        Metric("recall", "recall"),
        Metric("hd95", "hd95", 1),
        Metric("asd", "asd", 1),
    )
    note: ClassVar[str] = "distances in px"
    adjustable: ClassVar[tuple[str, ...]] = ("infer.", "post.", "cgnr.", "metric.", "run.")

    def __init__(
        self, config: CmwnetConfig, modes: Sequence[str], state: dict[str, Tensor], device: torch.device, cache: Path
    ) -> None:
        self.config = config
        self._modes = cast("Sequence[Mode]", modes)
        module = CmwnetModule(config)
        module.load_weights(state)
        module.to(device)
        self._pipeline = torch_pipeline(config, module.large, module.small)
        self._cache = cache

    @classmethod
    def own_mode(cls, config: CmwnetConfig) -> str:
        """Return both branches, or the one that was trained."""
        return config.mode

    @classmethod
    def modes(cls, config: CmwnetConfig, asked: Sequence[str], subject: object) -> tuple[str, ...]:
        """Return the modes to score; two branches can be scored in every mode."""
        return tuple(asked) if asked and config.mode == "cmwnet" else super().modes(config, asked, subject)

    @classmethod
    def cases(cls, data: Path, *, held_out: bool) -> list[Case]:
        """Return the images of `images/` with their masks."""
        del held_out
        return read_folder(data)

    def score(self, case: Case) -> dict[str, Scores]:
        """Return the scores of a mask as it would be deployed."""
        config, pipeline = self.config, self._pipeline
        image = prepare(case, config.working_image_spec(), self._cache)
        needed = config.mode if len(self._modes) > 1 else self._modes[0]
        maps = branch_maps(pipeline, needed, image.whole, image.grid, image.height, image.width)
        found: dict[str, Scores] = {}
        for mode in self._modes:
            prediction = combine(pipeline, mode, maps, image.original_fov) >= np.float32(config.infer.threshold)
            found[mode] = score(
                prediction, image.original_mask, convention=config.metric.surface, spacing=config.metric.spacing
            )
        return found

    @classmethod
    def columns(cls, score: Scores) -> dict[str, Any]:
        """Return the metrics, and whether one mask alone was empty."""
        return dataclasses.asdict(score)

    @classmethod
    def counts(cls, scores: Sequence[Scores]) -> dict[str, int]:
        """Return the number of images with one empty mask, whose distances are the image's diagonal."""
        return {"one_mask_empty": sum(each.one_empty for each in scores)}

    @classmethod
    def facts(cls, config: CmwnetConfig) -> dict[str, Any]:
        """Return post-processing and the convention of the distances."""
        return {"post": config.postprocess_spec().model_dump(), "metric": dataclasses.asdict(config.metric)}
