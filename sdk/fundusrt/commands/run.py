"""`fundusrt run`: many images, one answer file set each."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fundusrt.commands.options import backend_options, json_option
from fundusrt.errors import FundusRTError, InvalidInput, OutputError, UsageError

__all__ = ["run"]


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """NaN passes every comparison that click makes."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.", context, parameter)
    return value


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-m", "--model", default="leakage", show_default=True, help="Shipped name, bundle folder or .frt file.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for the results.")
@click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0.0, min_open=True),
    callback=_finite,
    default=None,
    help="Refuse larger images from their header, before decoding.  [default: 200]",
)
@backend_options
@json_option
def run(
    inputs: tuple[str, ...],
    model: str,
    out: Path,
    max_megapixels: float | None,
    backend: str,
    device: str,
    precision: str,
    threads: int | Literal["tuned"] | None,
    as_json: bool,
) -> None:
    """Run a model on files, folders or globs.

    Writes for each image <name>_mask.png, _overlay.png and _probability.png (a segmentation) or _enhanced.png (an
    enhancement), and _result.json. An image that cannot be used is reported and the others go on; the exit code is then
    1.
    """
    from fundusrt.inputs import collect_images, refuse_overwritten_inputs
    from fundusrt.loading import load
    from fundusrt.systems import system_of

    files, errors = collect_images(inputs)
    failed: list[dict[str, Any]] = []
    done: list[dict[str, Any]] = []
    messages = Console(stderr=True)

    def report(source: str, error: FundusRTError) -> None:
        failed.append({"source": source, "error": error.to_dict()})
        messages.print(f"[red]failed[/red]  {escape(str(error))}", highlight=False, soft_wrap=True)

    for error in errors:
        report(error.subject, error)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        load(
            model, backend=backend, device=device, precision=precision, threads=threads, max_megapixels=max_megapixels
        ) as pipeline,
        Progress(*columns, console=messages, disable=not sys.stderr.isatty(), transient=True) as progress,
    ):
        refuse_overwritten_inputs(files, out, system_of(pipeline.manifest).result.PICTURES)
        if files:
            _make_folder(out)
        task = progress.add_task("images", total=len(files))
        for file in files:
            progress.update(task, description=escape(file.name))
            try:
                result = pipeline(file)
                written = result.save(out)
            except FundusRTError as error:
                report(str(file), error)
            except MemoryError:
                report(str(file), _out_of_memory(file))
            else:
                paths = {kind: str(path) for kind, path in written.items()}
                for warning in result.provenance.warnings:
                    messages.print(f"[yellow]warning[/yellow]  {escape(str(file))}: {warning}", soft_wrap=True)
                done.append({"source": str(file), "files": paths, **result.to_dict()})
                if not as_json:
                    click.echo(f"{file.name}: {result.summary()}")
            progress.advance(task)
    if as_json:
        click.echo(json.dumps({"results": done, "failed": failed}, indent=2))
    else:
        click.echo(f"{len(done)} done, {len(failed)} failed; results in {out}")
    if failed:
        sys.exit(1)


def _out_of_memory(file: Path) -> InvalidInput:
    """One image too large for this machine must not cost the others their results."""
    return InvalidInput(
        file,
        got="an image that needs more memory than this machine has free",
        expected="room for the image and some maps of its size",
        fix="free memory, or refuse such images early with a lower --max-megapixels",
    )


def _make_folder(out: Path) -> None:
    """Fail before the first network call when nothing could be written anyway."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(out, got="a file", expected="a folder", fix="choose another output folder") from error
    except OSError as error:
        raise OutputError(
            out, got=error.strerror or str(error), expected="a writable folder", fix="choose another output folder"
        ) from error
