"""Command line: degrade good photographs, several times each, and record how.

OUT/clean/NAME.png       the photograph, cut to its field of view, square
OUT/fov/NAME.png         its field of view
OUT/degraded/NAME_2.png  the third degradation of it
OUT/index.json           every draw; `regenerate` makes a degraded image again from it and the clean one
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from fundusrt.atomic import write_json
from fundusrt.image import read_image
from fundusrt.inputs import collect_images
from fundusrt_training.data.degradation.degrade import degrade_8_bit, draw_degradation
from fundusrt_training.data.degradation.record import BLUR_LENGTHS, BlurLengths, Degradation, DegradationConfig
from fundusrt_training.data.degradation.square import square_eye
from fundusrt_training.data.output_folder import make_output_folder
from fundusrt_training.data.png_file import write_png
from fundusrt_training.data.working_image import file_sha256

__all__ = ["degrade_command", "regenerate"]

FORMAT = "fundusrt-degradations/1"


@click.command("degrade")
@click.argument("images", nargs=-1, required=True)
@click.option("-o", "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="A new folder.")
@click.option("--count", type=click.IntRange(1), default=4, show_default=True, help="Degradations of each photograph.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all draws.")
@click.option("--side", type=click.IntRange(96), default=512, show_default=True, help="Sides of the squares in px.")
@click.option(
    "--blur-lengths",
    type=click.Choice(BLUR_LENGTHS),
    default="frame",
    show_default=True,
    help="Whether the blur's lengths grow with the side, or are pixels at any side.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
def degrade_command(
    images: tuple[str, ...], out: Path, count: int, seed: int, side: int, blur_lengths: BlurLengths, workers: int
) -> None:
    """Degrade good photographs IMAGES (files, folders, globs) COUNT times each, recording every draw."""
    files, errors = collect_images(images)
    if errors:
        raise errors[0]
    config = DegradationConfig(blur_lengths=blur_lengths)
    make = partial(_degrade_one, out=out, count=count, seed=seed, side=side, config=config)
    make_output_folder(out, ("clean", "fov", "degraded"))
    jobs = list(enumerate(files))
    entries: list[dict[str, Any]] = []
    console = Console(stderr=True)
    if workers == 1:
        entries = [make(job) for job in track(jobs, "photographs", console=console)]
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            entries = list(track(pool.map(make, jobs), "photographs", total=len(jobs), console=console))
    settings = {"format": FORMAT, "seed": seed, "side": side, "blur_lengths": blur_lengths}
    write_json(out / "index.json", settings | {"images": entries})


def regenerate(
    clean: npt.NDArray[np.uint8], fov: npt.NDArray[np.bool_], record: dict[str, Any]
) -> npt.NDArray[np.uint8]:
    """Return the degraded image of a clean one, as `fundusrt degrade` wrote it.

    Args:
        clean: (H, W, 3) RGB uint8.
        fov: (H, W) bool.
        record: the draws, as in the index.
    """
    return degrade_8_bit(clean, fov, Degradation.from_dict(record))


def _degrade_one(
    job: tuple[int, Path], out: Path, count: int, seed: int, side: int, config: DegradationConfig
) -> dict[str, Any]:
    index, path = job
    cv2.setNumThreads(1)
    clean, fov = square_eye(read_image(path), side)
    name = path.stem
    write_png(out / "clean" / f"{name}.png", clean)
    write_png(out / "fov" / f"{name}.png", fov.astype(np.uint8) * 255)
    draws: list[dict[str, Any]] = []
    for variant in range(count):
        random = np.random.default_rng((seed, index, variant))
        drawn = draw_degradation(random, side, side, config=config).to_dict()
        write_png(out / "degraded" / f"{name}_{variant}.png", regenerate(clean, fov, drawn))
        draws.append(drawn)
    return {"name": name, "source": path.name, "sha256": file_sha256(path), "degradations": draws}
