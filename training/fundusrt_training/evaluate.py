"""Scores checkpoints on a folder of images, by the pipeline that is deployed, and compares them.

Every metric is a mean over images at the original resolution (CMWNet paper, Evaluation) with a bootstrap interval over
images.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fundusrt.atomic import atomic_write, write_json
from fundusrt.errors import InvalidInput, OutputError, UsageError
from fundusrt_training.checkpoints import installed_versions, load_checkpoint, read_metadata
from fundusrt_training.configuration import apply_settings
from fundusrt_training.data.folder import Case, read_folder
from fundusrt_training.data.split import split
from fundusrt_training.data.working_image import WorkingImage, default_cache, prepare
from fundusrt_training.inference import branch_maps, combine, torch_pipeline
from fundusrt_training.metrics import Scores, score
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig, Mode

__all__ = [
    "METRICS",
    "Candidate",
    "Row",
    "bootstrap_interval",
    "evaluate",
    "make_report_folder",
    "open_candidate",
    "write_report",
]

logger = logging.getLogger(__name__)

METRICS = ("dice", "precision", "recall", "hd95", "asd")
ADJUSTABLE = ("infer.", "post.", "cgnr.", "metric.", "run.")
RESAMPLES = 2000


@dataclass(frozen=True)
class Candidate:
    """A checkpoint under test: its name in the table, file, configuration and the modes to score."""

    name: str
    path: Path
    config: CmwnetConfig
    modes: tuple[Mode, ...]


@dataclass(frozen=True)
class Row:
    """One candidate in one mode: scores by image name, in the order of the images."""

    name: str
    mode: Mode
    candidate: Candidate
    scores: dict[str, Scores]

    def values(self, metric: str) -> list[float]:
        """Return a metric of every image."""
        return [float(getattr(each, metric)) for each in self.scores.values()]

    def summary(self) -> dict[str, Any]:
        """Return means, 95 % intervals and counts."""
        means = {metric: float(np.mean(self.values(metric))) for metric in METRICS}
        intervals = {metric: list(bootstrap_interval(self.values(metric))) for metric in METRICS}
        empty = sum(each.one_empty for each in self.scores.values())
        return {"images": len(self.scores), "mean": means, "interval_95": intervals, "one_mask_empty": empty}


def open_candidate(text: str, modes: Sequence[Mode] = (), settings: Sequence[str] = ()) -> Candidate:
    """Read `name=checkpoint`, or a checkpoint alone, which is named by its file (or by its run).

    Args:
        text: from the command line.
        modes: modes to score; the mode it was trained in where empty.
        settings: post-processing settings that replace the checkpoint's own, such as `post.w_large=0.5`.

    Raises:
        InvalidInput: not a checkpoint.
        UsageError: a mode whose branch was not trained, or a setting that is not post-processing.
    """
    name, equals, file = ("", "", text) if Path(text).is_file() else text.partition("=")
    path = Path(file if equals else text)
    if not equals:
        run = path.parent.parent.name if path.parent.name == "checkpoints" else ""
        name = f"{run}/{path.stem}" if run else path.stem
    for setting in settings:
        if not setting.startswith(ADJUSTABLE):
            raise UsageError(
                f"--set {setting}",
                got="a setting that was fixed by training",
                expected=f"one that starts with {', '.join(ADJUSTABLE)}",
                fix="train again with it",
            )
    header = read_metadata(path)
    if header["system"] != "cmwnet":
        raise InvalidInput(
            path,
            got=f"system {header['system']}",
            expected="cmwnet",
            fix="give a checkpoint of `fundusrt train cmwnet`",
        )
    config = apply_settings(CmwnetConfig.from_dict(header["config"]), list(settings))
    for mode in modes:
        if config.mode not in ("cmwnet", mode):
            raise UsageError(
                f"--mode {mode}",
                got=f"{path}, trained in mode {config.mode}",
                expected=config.mode,
                fix="leave --mode out",
            )
    return Candidate(name, path, config, tuple(modes) or (config.mode,))


def evaluate(
    candidates: Sequence[Candidate],
    data: Path,
    *,
    cache: Path | None = None,
    limit: int | None = None,
    held_out: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Row]:
    """Score every candidate in its modes on every image of a folder.

    Args:
        candidates: from `open_candidate`.
        data: folder with `images/` and `masks/`.
        cache: where pre-processed images are kept.
        limit: only the first images by name.
        held_out: only the images that a checkpoint's own fold held out from training.
        progress: called with candidate name, images done and their count.

    Raises:
        InvalidInput: data or checkpoint that cannot be used.
    """
    everything = read_folder(data)
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
        rows += _evaluate_one(candidate, cases[:limit], cache or default_cache(), progress)
    return rows


def _evaluate_one(
    candidate: Candidate, cases: list[Case], cache: Path, progress: Callable[[str, int, int], None] | None
) -> list[Row]:
    config = candidate.config
    state, _ = load_checkpoint(candidate.path)
    module = CmwnetModule(config)
    module.load_weights(state)
    pipeline = torch_pipeline(config, module.large, module.small)
    several = len(candidate.modes) > 1
    needed = config.mode if several else next(iter(candidate.modes))
    scores: dict[Mode, dict[str, Scores]] = {mode: {} for mode in candidate.modes}
    for done, case in enumerate(cases, start=1):
        image = prepare(case, config.working_image_spec(), cache)
        maps = branch_maps(pipeline, needed, image.whole, image.grid, image.height, image.width)
        for mode in candidate.modes:
            scores[mode][image.name] = _score(config, image, combine(pipeline, mode, maps, image.original_fov))
        if progress is not None:
            progress(candidate.name, done, len(cases))
    return [Row(f"{candidate.name} ({m})" if several else candidate.name, m, candidate, scores[m]) for m in scores]


def _score(config: CmwnetConfig, image: WorkingImage, p: Any) -> Scores:
    prediction = p >= np.float32(config.infer.threshold)
    return score(prediction, image.original_mask, convention=config.metric.surface, spacing=config.metric.spacing)


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile-bootstrap interval of the mean, resampling the values `RESAMPLES` times."""
    array = np.asarray(values, np.float64)
    picks = np.random.default_rng(seed).integers(0, len(array), (RESAMPLES, len(array)))
    low, high = np.percentile(array[picks].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def compare(rows: Sequence[Row]) -> list[dict[str, Any] | None]:
    """Return each row's Dice difference to the first row, paired by image, with its interval; None for other images."""
    first = rows[0]
    compared: list[dict[str, Any] | None] = []
    for row in rows:
        if list(row.scores) != list(first.scores):
            compared.append(None)
            continue
        differences = [ours - theirs for ours, theirs in zip(row.values("dice"), first.values("dice"), strict=True)]
        compared.append({"mean": float(np.mean(differences)), "interval_95": list(bootstrap_interval(differences))})
    return compared


def make_report_folder(out: Path) -> None:
    """Make the folder before anything is scored for it. Raises OutputError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            out, got=error.strerror or str(error), expected="a folder that can be made", fix="choose another folder"
        ) from error


def write_report(rows: Sequence[Row], data: Path, out: Path) -> None:
    """Write `out/per_image.csv` and `out/summary.json`.

    Raises:
        OutputError: the folder cannot be written.
    """
    make_report_folder(out)
    with atomic_write(out / "per_image.csv") as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "mode", "image", *(field.name for field in dataclasses.fields(Scores))])
        for row in rows:
            for image, each in row.scores.items():
                writer.writerow([row.name, row.mode, image, *dataclasses.astuple(each)])
    summary = {
        "data": str(data),
        "versions": installed_versions(),
        "bootstrap_resamples": RESAMPLES,
        "rows": [
            {
                "name": row.name,
                "mode": row.mode,
                "checkpoint": str(row.candidate.path),
                "sha256": hashlib.sha256(row.candidate.path.read_bytes()).hexdigest(),
                "post": row.candidate.config.postprocess_spec().model_dump(),
                "metric": dataclasses.asdict(row.candidate.config.metric),
                **row.summary(),
                "dice_minus_first": difference,
            }
            for row, difference in zip(rows, compare(rows), strict=True)
        ],
    }
    write_json(out / "summary.json", summary)
