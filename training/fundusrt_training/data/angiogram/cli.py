"""Command line: write a folder of generated angiograms."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fundusrt.atomic import write_json
from fundusrt.errors import UsageError
from fundusrt_training.data.angiogram.config import AngiogramConfig
from fundusrt_training.data.angiogram.eye import NATIVE_HEIGHT, NATIVE_WIDTH
from fundusrt_training.data.angiogram.generate import MIN_SIDE_PX, generate
from fundusrt_training.data.output_folder import make_output_folder
from fundusrt_training.data.png_file import write_png

__all__ = ["generate_command", "write_angiogram"]

FORMAT = "fundusrt-angiograms/1"


def write_angiogram(
    folder: Path, name: str, seed: int, height: int, width: int, config: AngiogramConfig | None = None
) -> dict[str, Any]:
    """Generate one angiogram and write images/, masks/ and fov/ <name>.png below folder.

    Returns the entry of the index: name, seed, height, width and the facts. Raises OutputError.
    """
    angiogram = generate(seed, height=height, width=width, config=config)
    write_png(folder / "images" / f"{name}.png", angiogram.image)
    write_png(folder / "masks" / f"{name}.png", angiogram.leakage.astype(np.uint8) * 255)
    write_png(folder / "fov" / f"{name}.png", angiogram.fov.astype(np.uint8) * 255)
    return {"name": name, "seed": seed, "height": height, "width": width, **angiogram.facts}


def _single_thread() -> None:
    cv2.setNumThreads(1)


def _size(value: str) -> tuple[int, int]:
    parts = value.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) >= MIN_SIDE_PX for part in parts):
        raise UsageError(
            "--size",
            got=value,
            expected=f"HEIGHTxWIDTH in px, each at least {MIN_SIDE_PX}",
            fix=f"try {NATIVE_HEIGHT}x{NATIVE_WIDTH}",
        )
    return int(parts[0]), int(parts[1])


@click.command("generate")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--count", type=click.IntRange(1), required=True, help="How many angiograms to write.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first; +1 each.")
@click.option("--size", default=f"{NATIVE_HEIGHT}x{NATIVE_WIDTH}", show_default=True, help="HEIGHTxWIDTH in px.")
@click.option(
    "--leak-free",
    type=click.FloatRange(0, 1),
    default=AngiogramConfig().leak_free_fraction,
    show_default=True,
    help="Share of images without any leakage.",
)
@click.option(
    "--coverage",
    type=(float, float, float),
    metavar="LOW MEDIAN HIGH",
    default=(
        AngiogramConfig().coverage_range[0],
        AngiogramConfig().coverage_median,
        AngiogramConfig().coverage_range[1],
    ),
    show_default=True,
    help="Share of the field of view that leaks, where anything does: smallest, median, largest.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
def generate_command(
    out: Path, count: int, seed: int, size: str, leak_free: float, coverage: tuple[float, float, float], workers: int
) -> None:
    """Write generated angiograms, leakage masks and fields of view to OUT/{images,masks,fov} and OUT/index.json."""
    height, width = _size(size)
    low, median, high = coverage
    config = AngiogramConfig(leak_free_fraction=leak_free, coverage_range=(low, high), coverage_median=median)
    _run(out, count, seed, height, width, config, workers)


def _run(out: Path, count: int, seed: int, height: int, width: int, config: AngiogramConfig, workers: int) -> None:
    make_output_folder(out, ("images", "masks", "fov"))
    digits = max(4, len(str(count - 1)))
    jobs = [(out, f"{index:0{digits}d}", seed + index, height, width, config) for index in range(count)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    entries: list[dict[str, Any]] = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("angiograms", total=count)
        if workers == 1:
            _single_thread()
            for job in jobs:
                entries.append(write_angiogram(*job))
                progress.advance(task)
        else:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, mp_context=context, initializer=_single_thread) as pool:
                for done in as_completed([pool.submit(write_angiogram, *job) for job in jobs]):
                    entries.append(done.result())
                    progress.advance(task)
    entries.sort(key=lambda entry: str(entry["name"]))
    index = {"format": FORMAT, "config": config.to_dict(), "images": entries}
    write_json(out / "index.json", index)
