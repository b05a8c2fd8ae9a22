"""Scores checkpoints of one system on a folder of images, by what is deployed, image by image.

What a score is, each system's evaluator says (`systems.evaluator`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.bootstrap import interval_95, resamples
from fundusrt_training.checkpoints import load_checkpoint, read_metadata
from fundusrt_training.configuration import apply_settings
from fundusrt_training.data.split import split
from fundusrt_training.data.working_image import default_cache
from fundusrt_training.systems.evaluator import Evaluator, Figures
from fundusrt_training.systems.registry import SYSTEMS, config_type, evaluator_type

__all__ = ["Candidate", "Row", "evaluate", "open_candidate"]


@dataclass(frozen=True)
class Candidate:
    """A checkpoint under test: its name in the table, file, system, configuration and the modes to score."""

    name: str
    path: Path
    system: str
    config: Any
    modes: tuple[str, ...]

    @property
    def evaluator(self) -> type[Evaluator[Any, Any]]:
        """What scores it."""
        return evaluator_type(self.system)


@dataclass(frozen=True)
class Row:
    """One candidate in one mode: scores by image name, in the order of the images."""

    name: str
    mode: str
    candidate: Candidate
    scores: dict[str, Any]

    @cached_property
    def figures(self) -> dict[str, float]:
        """Every metric over all images."""
        everything = np.arange(len(self.scores))[None]
        found = self.candidate.evaluator.figures(list(self.scores.values()), everything)
        return {name: float(values[0]) for name, values in found.items()}

    @cached_property
    def resampled(self) -> dict[str, Figures]:
        """Every metric over the bootstrap's selections; rows with the same images have the same selections."""
        return self.candidate.evaluator.figures(list(self.scores.values()), resamples(len(self.scores)))

    def summary(self) -> dict[str, Any]:
        """Return the metrics under `mean` or `pooled`, 95 % intervals and counts."""
        evaluator = self.candidate.evaluator
        names = [metric.name for metric in evaluator.metrics]
        return {
            "images": len(self.scores),
            evaluator.combined: {name: self.figures[name] for name in names},
            "interval_95": {name: list(interval_95(self.resampled[name])) for name in names},
            **evaluator.counts(list(self.scores.values())),
        }

    def minus(self, other: Row) -> dict[str, Any] | None:
        """Return the first metric's difference to another row, paired by image; None where the images differ."""
        if list(self.scores) != list(other.scores):
            return None
        name = self.candidate.evaluator.metrics[0].name
        differences = self.resampled[name] - other.resampled[name]
        return {"mean": self.figures[name] - other.figures[name], "interval_95": list(interval_95(differences))}


def open_candidate(text: str, modes: Sequence[str] = (), settings: Sequence[str] = ()) -> Candidate:
    """Read `name=checkpoint`, or a checkpoint alone, which is named by its file (or by its run).

    Args:
        text: from the command line.
        modes: modes to score; the mode it was trained in where empty.
        settings: settings that replace the checkpoint's own where the system still allows it, such as
            `post.w_large=0.5`.

    Raises:
        InvalidInput: not a checkpoint, or one of an unknown system.
        UsageError: a mode whose branch was not trained, or a setting that training has fixed.
    """
    name, equals, file = ("", "", text) if Path(text).is_file() else text.partition("=")
    path = Path(file if equals else text)
    if not equals:
        run = path.parent.parent.name if path.parent.name == "checkpoints" else ""
        name = f"{run}/{path.stem}" if run else path.stem
    header = read_metadata(path)
    system = str(header["system"])
    if system not in SYSTEMS:
        raise InvalidInput(
            path, got=f"system {system}", expected=" or ".join(SYSTEMS), fix="use the version that wrote it"
        )
    evaluator = evaluator_type(system)
    for setting in settings:
        if not setting.startswith(evaluator.adjustable):
            raise UsageError(
                f"--set {setting}",
                got="a setting that was fixed by training",
                expected=f"one that starts with {', '.join(evaluator.adjustable)}",
                fix="train again with it",
            )
    config = apply_settings(config_type(system).from_dict(header["config"]), list(settings))
    return Candidate(name, path, system, config, evaluator.modes(config, modes, path))


def evaluate(
    candidates: Sequence[Candidate],
    data: Path,
    *,
    cache: Path | None = None,
    limit: int | None = None,
    held_out: bool = False,
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Row]:
    """Score every candidate in its modes on every image of a folder.

    Args:
        candidates: from `open_candidate`, all of one system.
        data: folder of images with references, in a layout the system reads.
        cache: where pre-processed images are kept.
        limit: only the first images by name.
        held_out: only the images that a checkpoint's own fold held out from training.
        device: where networks run, such as `cuda`.
        progress: called with candidate name, images done and their count.

    Raises:
        InvalidInput: data or checkpoint that cannot be used.
        UsageError: several systems, no fold to hold out, or a device that is not there.
    """
    systems = sorted({candidate.system for candidate in candidates})
    if len(systems) != 1:
        raise UsageError(
            "checkpoints", got=f"systems {', '.join(systems)}", expected="one", fix="evaluate each system by itself"
        )
    place = _device(device)
    everything = evaluator_type(systems[0]).cases(data, held_out=held_out)
    rows: list[Row] = []
    for candidate in candidates:
        cases = split(everything, candidate.config.split)[1] if held_out else everything
        if not cases:
            raise UsageError(
                "--held-out",
                got=f"{candidate.path}, trained without split.fold",
                expected="a run with a fold",
                fix="leave --held-out out, or train with --set split.fold=0",
            )
        rows += _evaluate_one(candidate, cases[:limit], cache or default_cache(), place, progress)
    return rows


def _evaluate_one(
    candidate: Candidate,
    cases: list[Any],
    cache: Path,
    device: torch.device,
    progress: Callable[[str, int, int], None] | None,
) -> list[Row]:
    state, _ = load_checkpoint(candidate.path)
    evaluator = candidate.evaluator(candidate.config, candidate.modes, state, device, cache)
    scores: dict[str, dict[str, Any]] = {mode: {} for mode in candidate.modes}
    for done, case in enumerate(cases, start=1):
        for mode, found in evaluator.score(case).items():
            scores[mode][case.name] = found
        if progress is not None:
            progress(candidate.name, done, len(cases))
    several = len(candidate.modes) > 1
    return [Row(f"{candidate.name} ({m})" if several else candidate.name, m, candidate, scores[m]) for m in scores]


def _device(name: str) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise UsageError(
            f"--device {name}", got=str(error).splitlines()[0], expected="a device of this machine", fix="use cpu"
        ) from error
