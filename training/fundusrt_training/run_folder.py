"""A run on disk: configuration, data hashes, metrics, checkpoints.

    RUN/run.json                        data folders, versions, command-line limits
    RUN/config.json                     the whole configuration
    RUN/data.json                       SHA-256 of every image and mask
    RUN/metrics.csv                     one row a step
    RUN/validation.csv                  one row a validation
    RUN/tensorboard/                    the same, and sample overlays
    RUN/checkpoints/last.safetensors    weights (and best.safetensors by the validation score)
    RUN/checkpoints/resume.safetensors  weights, optimiser, schedule and progress: all that `--resume` needs

There is no random state to save: every draw is a function of the seed and of the progress.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from fundusrt.atomic import atomic_write, write_json
from fundusrt.errors import OutputError
from fundusrt_training.checkpoints import load_checkpoint, read_metadata, save_checkpoint
from fundusrt_training.errors import ResumeError
from fundusrt_training.systems.registry import config_type
from fundusrt_training.systems.resumable import Progress, ResumableModule

__all__ = ["RunFolder"]


class RunFolder:
    """Paths and files of one run.

    Args:
        path: the folder; made by `create`, or opened by `open`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"

    @classmethod
    def create(cls, path: Path, config: Any, facts: dict[str, Any]) -> RunFolder:
        """Start a run in a new or empty folder.

        Raises:
            ResumeError: the folder already holds a run.
            OutputError: the folder cannot be made.
        """
        if (path / "config.json").exists():
            raise ResumeError(
                path,
                got="a folder that already holds a run",
                expected="a new folder",
                fix="add --resume, or choose another",
            )
        run = cls(path)
        try:
            run.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                path,
                got=error.strerror or str(error),
                expected="a folder that can be made",
                fix="choose another place with -o",
            ) from error
        write_json(path / "run.json", facts)
        write_json(path / "config.json", config.to_dict())
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run to continue it.

        Raises:
            ResumeError: no run, or one that was stopped before its first checkpoint.
        """
        run = cls(path)
        for file in (path / "config.json", path / "run.json", run.resume_file):
            if not file.is_file():
                raise ResumeError(
                    path,
                    got=f"no {file.relative_to(path)}",
                    expected="a run with a checkpoint",
                    fix="train without --resume",
                )
        return run

    @property
    def resume_file(self) -> Path:
        """The complete state."""
        return self.checkpoints / "resume.safetensors"

    def config(self) -> Any:
        """Return the configuration the run was started with."""
        kind = config_type(self.facts()["system"])
        return kind.from_dict(json.loads((self.path / "config.json").read_text()))

    def facts(self) -> dict[str, Any]:
        """Return the contents of `run.json`."""
        return cast("dict[str, Any]", json.loads((self.path / "run.json").read_text()))

    def check_data(self, hashes: dict[str, Any]) -> None:
        """Record the data's hashes, or compare them with those recorded.

        Raises:
            ResumeError: the data changed since the run was started.
        """
        file = self.path / "data.json"
        if not file.exists():
            write_json(file, hashes)
            return
        before = cast("dict[str, Any]", json.loads(file.read_text()))
        if before != hashes:
            changed = sorted(
                f"{part}/{name}"
                for part in {*before, *hashes}
                for name in {*before.get(part, {}), *hashes.get(part, {})}
                if before.get(part, {}).get(name) != hashes.get(part, {}).get(name)
            )
            raise ResumeError(
                self.path,
                got=f"{len(changed)} images that differ from the run's data, first {changed[0]}",
                expected="the data the run was started with",
                fix="restore the data, or start a new run",
            )

    def save_weights(self, name: str, module: ResumableModule, **extra: Any) -> None:
        """Write `checkpoints/NAME.safetensors`: what evaluation and export read."""
        file = self.checkpoints / f"{name}.safetensors"
        self._save(file, module.weights(), module, extra)

    def save_resume(
        self, module: ResumableModule, optimizer: torch.optim.Optimizer, scheduler: Any, best: float
    ) -> None:
        """Write everything that continuing needs."""
        tensors = {f"model.{name}": value for name, value in module.weights().items()}
        plain: dict[str, Any] = {}
        state = optimizer.state_dict()
        for index, values in state["state"].items():
            for name, value in values.items():
                if not isinstance(value, Tensor):
                    raise TypeError(f"optimiser state {name} is a {type(value).__name__}, not a tensor")
                tensors[f"optimizer.{index}.{name}"] = value
        plain["param_groups"] = state["param_groups"]
        plain["scheduler"] = scheduler.state_dict()
        plain["progress"] = asdict(module.progress)
        plain["best"] = best
        self._save(self.resume_file, tensors, module, {"training": plain})

    def _save(self, file: Path, tensors: dict[str, Tensor], module: ResumableModule, extra: dict[str, Any]) -> None:
        config, system = module.config.to_dict(), self.facts()["system"]
        save_checkpoint(file, tensors, config, system=system, step=module.progress.step, extra=extra)

    def load_model(self, module: ResumableModule) -> float:
        """Put weights and progress back; return the best validation score so far."""
        tensors, _ = load_checkpoint(self.resume_file)
        training = read_metadata(self.resume_file)["training"]
        module.load_weights({n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")})
        module.progress = Progress(**training["progress"])
        return float(training["best"])

    def load_optimizer(self, optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
        """Put the optimiser's and the schedule's state back."""
        tensors, _ = load_checkpoint(self.resume_file)
        training = read_metadata(self.resume_file)["training"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": training["param_groups"]})
        for parameter, values in optimizer.state.items():
            for key, value in values.items():
                if value.shape == parameter.shape:
                    # The fused step walks memory, so moments must lie as their channels-last parameters do.
                    values[key] = torch.empty_like(parameter).copy_(value)
        scheduler.load_state_dict(training["scheduler"])

    def append_row(self, name: str, row: dict[str, Any]) -> None:
        """Add one row to a CSV file of the run; the first row decides the columns."""
        file = self.path / name
        fresh = not file.exists()
        with file.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    def forget_after(self, name: str, step: int) -> None:
        """Drop the rows of a CSV file that lie after a step: they will be made again."""
        file = self.path / name
        if not file.exists():
            return
        with file.open(newline="") as stream:
            reader = csv.DictReader(stream)
            columns, rows = list(reader.fieldnames or []), [row for row in reader if int(row["step"]) <= step]
        with atomic_write(file) as temporary, temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(rows)
