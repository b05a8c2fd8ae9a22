"""`fundusrt bench`: how fast a bundle is on this machine; `fundusrt bench compare`: which of two runs is faster."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fundusrt.commands.demo import sample_path
from fundusrt.commands.options import backend_options, json_option

if TYPE_CHECKING:
    from fundusrt.bench.report import BenchReport

__all__ = ["bench"]

_SCOPES = {"network": "network", "device": "device", "end-to-end": "end_to_end"}
_SCENARIOS = {"single-stream": "single_stream", "offline": "offline"}


class _MeasureUnlessNamed(click.Group):
    """`bench BUNDLE` measures: what is no command of the group is the argument of `measure`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["measure", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_MeasureUnlessNamed)
def bench() -> None:
    """Measure latency by stage, or compare two measurements."""


@bench.command()
@click.argument("bundle", default="leakage")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(list(_SCOPES)),
    multiple=True,
    help="What is timed; may be repeated.  [default: all]",
)
@click.option(
    "--scenario",
    "scenarios",
    type=click.Choice(list(_SCENARIOS)),
    multiple=True,
    help="One image at a time, or all at once by several workers; may be repeated.  [default: both]",
)
@click.option(
    "-i",
    "--image",
    "images",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Images that take turns; may be repeated.  [default: the bundle's sample and its mirror images]",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("fundusrt-bench"), show_default=True)
@click.option("--name", default=None, help="Of the files.  [default: BUNDLE-BACKEND-DEVICE-PRECISION]")
@click.option("--seconds", type=click.FloatRange(min=1.0, max=86400.0), default=60.0, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1, max=10_000), default=None, help="Of each process, for --seconds.")
@click.option("--processes", type=click.IntRange(min=1, max=100), default=3, show_default=True)
@click.option("--warm-up", type=click.IntRange(min=0, max=100), default=1, show_default=True)
@click.option("--workers", type=click.IntRange(min=1, max=64), default=2, show_default=True, help="Of `offline`.")
@backend_options
@json_option
def measure(
    bundle: str,
    scopes: tuple[str, ...],
    scenarios: tuple[str, ...],
    images: tuple[Path, ...],
    out: Path,
    name: str | None,
    seconds: float,
    rounds: int | None,
    processes: int,
    warm_up: int,
    workers: int,
    backend: str,
    device: str,
    precision: str,
    threads: int | str | None,
    as_json: bool,
) -> None:
    """Measure a bundle on this machine, and whether its answers are right: `fundusrt bench [BUNDLE]`.

    Writes <name>.json (every sample; schema in docs/benchmarks.md) and <name>.png. Wrong answers are exit code 1,
    whatever their speed. `fundusrt bench compare A.json B.json` says which of two runs is faster.
    """
    from fundusrt.bench.files import write_report
    from fundusrt.bench.processes import BenchRequest, run_bench
    from fundusrt.bench.report import SCENARIOS, SCOPES

    request = BenchRequest(
        model=bundle,
        sample=sample_path(),
        options={"backend": backend, "device": device, "precision": precision, "threads": threads},
        images=images,
        scopes=tuple(each for each in SCOPES if not scopes or each in {_SCOPES[scope] for scope in scopes}),
        scenarios=tuple(
            each for each in SCENARIOS if not scenarios or each in {_SCENARIOS[scenario] for scenario in scenarios}
        ),
        processes=processes,
        rounds=rounds,
        seconds=seconds,
        warm_up=warm_up,
        workers=workers,
    )
    messages = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=messages, disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def show(process: int, done: int) -> None:
            progress.update(task, description=f"process {process + 1} of {processes}, {done} rounds")

        report = run_bench(request, show)
    stem = name or f"{report.bundle.name}-{backend}-{device}-{precision}"
    files = write_report(report, out, stem)
    if as_json:
        click.echo(json.dumps(report.model_dump(mode="json"), indent=2))
    else:
        _print_report(Console(), report, files)
    if not report.correctness.holds:
        for check in report.correctness.checks:
            if not check.holds:
                text = f"{check.what}: got {check.got}; expected {check.expected}"
                messages.print(f"[red]wrong[/red]  {escape(text)}", highlight=False, soft_wrap=True)
        sys.exit(1)


@bench.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--min-effect",
    type=click.FloatRange(min=0.0, max=5.0),
    default=0.05,
    show_default=True,
    help="The least difference that counts, 0.05 for 5 %.",
)
@click.option("--fail-if-slower", is_flag=True, help="Exit code 1 if B is slower than A.")
@json_option
def compare(a: Path, b: Path, min_effect: float, fail_if_slower: bool, as_json: bool) -> None:
    """Say whether run B is faster or slower than run A, noise taken into account; unlike runs are refused."""
    from fundusrt.bench.comparison import METHOD
    from fundusrt.bench.comparison import compare as compared
    from fundusrt.bench.files import read_report
    from fundusrt.commands.bench_tables import comparison_table

    found = compared(read_report(a), read_report(b), min_effect=min_effect, names=(str(a), str(b)))
    if as_json:
        click.echo(json.dumps({"method": METHOD, **asdict(found)}, indent=2))
    else:
        console = Console()
        console.print(comparison_table(found, a.name, b.name))
        for line in found.differs:
            console.print(f"differs  {escape(line)}", highlight=False, soft_wrap=True)
        for line in found.doubts:
            console.print(f"[yellow]doubt[/yellow]    {escape(line)}", highlight=False, soft_wrap=True)
        console.print(escape(f"method   {METHOD}"), highlight=False, soft_wrap=True)
        console.print(f"{escape(str(b))} is [bold]{_said(found.verdict)}[/bold] {escape(str(a))}", soft_wrap=True)
    if fail_if_slower and found.verdict == "slower":
        sys.exit(1)


def _said(verdict: str) -> str:
    return "as fast, as far as can be told, as" if verdict == "no difference" else f"{verdict} than"


def _print_report(console: Console, report: BenchReport, files: dict[str, Path]) -> None:
    from fundusrt.commands.bench_tables import latency_table, stage_table

    runtime, machine = report.runtime, report.environment.machine
    tuned = "" if runtime.tuned is None else f", tuned {runtime.tuned}"
    threads = f"{runtime.threads or 'default'} threads{tuned}"
    facts: dict[str, Any] = {
        "bundle": f"{report.bundle.name} {report.bundle.version}, sha256 {report.bundle.sha256[:12]}",
        "ran on": f"{runtime.provider}, {runtime.device}, {runtime.precision}, {threads}",
        "machine": f"{machine.cpu}, {machine.usable_cores} of {machine.cores} cores",
        "images": ", ".join(f"{image.name} {image.height} x {image.width}" for image in report.images),
        "cold start": _cold(report),
        "answers": f"{'right' if report.correctness.holds else 'WRONG'} ({len(report.correctness.checks)} checks)",
        "machine was": "; ".join((report.stability.verdict, *report.stability.reasons)),
    }
    for title, text in facts.items():
        console.print(f"{title:<12}{escape(str(text))}", highlight=False, soft_wrap=True)
    console.print(latency_table(report))
    console.print(stage_table(report))
    for kind, path in files.items():
        console.print(f"{kind:<12}{escape(str(path))}", soft_wrap=True)


def _cold(report: BenchReport) -> str:
    """Return the quickest fresh process: what others did meanwhile only adds."""
    best = min(report.cold_start, key=lambda each: each.first_result_ms)
    tile = best.first_tile_ms.value
    first = best.first_tile_ms.reason if tile is None else f"first tile {float(tile):.0f} ms"
    rest = f"imported {best.imported_ms:.0f} ms, loaded {best.loaded_ms:.0f} ms"
    return f"{rest}, {first}, first image {best.first_result_ms:.0f} ms (least of {len(report.cold_start)})"
