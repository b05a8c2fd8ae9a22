"""`fundusrt train` and `fundusrt evaluate`."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from fundusrt.errors import UsageError
from fundusrt_training.systems.registry import DATA_LAYOUTS, SYSTEMS

__all__ = ["FILE", "FOLDER", "evaluate", "read_json", "start", "train"]

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_LAYOUTS = "\n".join(f"{system:<10}{layout}" for system, layout in DATA_LAYOUTS.items())


@click.command(help=f"Train SYSTEM on a folder of data.\n\n\b\n{_LAYOUTS}")
@click.argument("system", type=click.Choice(SYSTEMS))
@click.option("--data", type=FOLDER, help="Folder of training data (needed unless --resume).")
@click.option("--val", type=FOLDER, help="Folder of validation images, scored as they would be in deployment.")
@click.option("-o", "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The run's folder.")
@click.option("--config", "config_file", type=FILE, help="Configuration as JSON; missing keys take their defaults.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="One setting, such as unet.base=16.")
@click.option("--init", type=FILE, multiple=True, help="Begin with this checkpoint's weights; later ones add branches.")
@click.option("--resume", is_flag=True, help="Continue the run in --out exactly where it stopped.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Pause after this many steps in total.")
@click.option("--max-minutes", type=click.FloatRange(min=0, min_open=True), help="Pause after this many minutes.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder of pre-processed images.")
@click.option("--accelerator", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, help="GPUs that share each step.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--progress/--no-progress", default=True, help="Progress bar.")
@click.option("--print-config", is_flag=True, help="Print the configuration and stop.")
def train(
    system: str,
    data: Path | None,
    val: Path | None,
    out: Path,
    config_file: Path | None,
    settings: tuple[str, ...],
    init: tuple[Path, ...],
    resume: bool,
    max_steps: int | None,
    max_minutes: float | None,
    cache: Path | None,
    accelerator: str,
    devices: int,
    threads: int | None,
    progress: bool,
    print_config: bool,
) -> None:
    """Train a system on a folder of data."""
    if resume and (config_file or settings or init or print_config):
        raise UsageError(
            "--resume",
            got="--config, --set, --init or --print-config",
            expected="neither: a run goes on with its own configuration",
            fix="start a new run in another folder",
        )
    if not resume and data is None and not print_config:
        raise UsageError("--data", got="nothing", expected=f"a folder with {DATA_LAYOUTS[system]}")
    from fundusrt_training.configuration import apply_settings
    from fundusrt_training.systems.registry import config_type

    config = apply_settings(config_type(system).from_dict(read_json(config_file)), list(settings))
    if print_config:
        click.echo(json.dumps(config.to_dict(), indent=2))
        return
    start(threads)
    from fundusrt_training import trainer
    from fundusrt_training.hardware import Hardware

    how = {
        "cache": cache,
        "limits": trainer.Limits(max_steps, max_minutes),
        "hardware": Hardware(accelerator, devices),
        "progress": progress,
    }
    if resume:
        run = trainer.resume(out, system=system, data=data, val=val, **how)
    else:
        assert data is not None  # checked above
        run = trainer.train(config, data, out, val=val, init=init, **how)
    click.echo(f"{run.path}: weights in {run.checkpoints}")


def read_json(path: Path | None) -> dict[str, object]:
    """Return what a file holds, nothing without one. Raises UsageError where it is not JSON."""
    if path is None:
        return {}
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(path, got=str(error), expected="a JSON object") from error


def _allow_many_files() -> None:
    """Four memory maps an image stay open in training: a few hundred images pass the usual limit of 1024."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def start(threads: int | None) -> None:
    """Set up logging to the terminal, and threads."""
    from rich.logging import RichHandler

    _allow_many_files()
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_path=False)])
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, metavar="[NAME=]CHECKPOINT...")
@click.option("--data", required=True, type=FOLDER, help="Folder of images and references.")
@click.option(
    "-o", "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the report."
)
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice(["cmwnet", "crop", "down"]),
    help="CMWNet: score these modes of each checkpoint (default: the one it was trained in).",
)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Post-processing, such as post.w_large=0.5."
)
@click.option("--held-out", is_flag=True, help="Only the images that each checkpoint's own fold held out.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first images by name.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder of pre-processed images.")
@click.option("--device", default="cpu", show_default=True, help="Where networks run, such as cuda.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
def evaluate(
    checkpoints: tuple[str, ...],
    data: Path,
    out: Path,
    modes: tuple[str, ...],
    settings: tuple[str, ...],
    held_out: bool,
    limit: int | None,
    cache: Path | None,
    device: str,
    threads: int | None,
) -> None:
    """Score CHECKPOINTs of one system on a folder of images with references, and compare them."""
    start(threads)
    from rich.console import Console
    from rich.progress import Progress

    from fundusrt_training import evaluate as evaluation
    from fundusrt_training.evaluation_report import make_report_folder, report_table, write_report

    candidates = [evaluation.open_candidate(text, modes, settings) for text in checkpoints]
    make_report_folder(out)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        rows = evaluation.evaluate(
            candidates,
            data,
            cache=cache,
            limit=limit,
            held_out=held_out,
            device=device,
            progress=lambda name, done, count: bar.update(task, description=name, completed=done, total=count),
        )
    write_report(rows, data, out)
    console = Console()
    console.width = max(console.width, 110)  # a table folded to 80 columns loses its headings
    console.print(report_table(rows))
    click.echo(f"{out}: per_image.csv, summary.json")
