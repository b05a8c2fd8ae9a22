"""`fundusrt build`: engines of a bundle, ahead of time."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from fundusrt.commands.options import json_option
from fundusrt.tensorrt_flavour import FLAVOURS, Flavour

__all__ = ["build"]

_MIB = 1024 * 1024


@click.command()
@click.argument("bundle", default="leakage")
@click.option("--for", "flavour", type=click.Choice(FLAVOURS), required=True, help="The package that will run it.")
@click.option("--gpu", "gpus", default=None, help="sm75,sm86,...: GPUs to build for.  [default: the one in here]")
@click.option("--precision", default="fp32", show_default=True, help="Numeric precision of the networks.")
@click.option("--batch", default="1", show_default=True, metavar="N|MIN,OPT,MAX", help="Tiles or frames a call.")
@click.option("--variant", default="tensorrt", show_default=True, help="Graph form to build; nothing else is taken.")
@click.option(
    "-o",
    "--cache",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder of the engines.  [default: engines in $FUNDUSRT_CACHE or in the user's cache folder]",
)
@click.option(
    "--inspector",
    "inspector_folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Write TensorRT's inspector report here, a file an engine; needs the GPU.",
)
@click.option("--force", is_flag=True, help="Build again what is there.")
@click.option("--tf32", is_flag=True, help="Let fp32 networks compute with TF32; faster, and not what was certified.")
@click.option("--optimization-level", type=click.IntRange(0, 5), default=None, help="Effort of the builder, 0 to 5.")
@click.option("--version-compatible", is_flag=True, help="A kind of plan; kept for this version alone (tensorrt only).")
@click.option("--exclude-lean-runtime", is_flag=True, help="Leave the runtime out of version-compatible plans.")
@click.option(
    "--hardware-compatibility",
    type=click.Choice(["none", "ampere-plus", "same-compute-capability"]),
    default="none",
    show_default=True,
    help="Plans that other GPUs run too (tensorrt only).",
)
@json_option
def build(
    bundle: str,
    flavour: Flavour,
    gpus: str | None,
    precision: str,
    batch: str,
    variant: str,
    folder: Path | None,
    inspector_folder: Path | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Compile every network of a BUNDLE into engines of this user's cache, which the backends of the same names load.

    What the cache has is not built again.
    """
    from fundusrt.bundle import Bundle
    from fundusrt.engine_cache import EngineCache
    from fundusrt.engine_identity import BatchRange, EngineOptions
    from fundusrt.nvidia_driver import probe_driver
    from fundusrt.tensorrt_flavour import import_tensorrt
    from fundusrt_export.engines.bundle_build import BuildRequest, build_bundle
    from fundusrt_export.engines.gpu_targets import gpu_targets
    from fundusrt_export.engines.inspection_files import require_inspector, write_inspections
    from fundusrt_export.engines.inspector import inspect_engine
    from fundusrt_export.engines.terminal_progress import TerminalProgress

    sizes = BatchRange.parse(batch)
    tensorrt = import_tensorrt(flavour)
    driver = probe_driver()
    targets = gpu_targets(tensorrt, driver, gpus)
    request = BuildRequest(precision, variant, sizes, EngineOptions(**options), force)
    if inspector_folder is not None:
        require_inspector(driver, targets, request.options)
    opened = Bundle.open(bundle)
    cache = EngineCache(folder)
    with ExitStack() as stack:
        progress = None if as_json else stack.enter_context(TerminalProgress()).engine
        built = build_bundle(opened, tensorrt, targets, cache, request, progress=progress)
    inspected = [inspect_engine(tensorrt, driver, each) for each in built]
    files: list[Path | None] = [None] * len(built)
    if inspector_folder is not None:
        files = list(write_inspections(inspector_folder, built, inspected))
    rows = [
        {
            "network": each.network,
            "gpu": each.engine.record.identity.gpu,
            "variant": each.variant.target,
            "precision": each.variant.precision,
            "form": each.variant.form,
            "batch": str(each.engine.record.identity.batch),
            "built": each.engine.built,
            "replaced": each.engine.replaced,
            "plan": str(each.engine.path),
            "report": each.engine.record.report,
            "inspector": None if seen.inspection is None else seen.inspection.to_dict(),
            "inspector_problem": seen.problem,
            "inspector_file": None if file is None else str(file),
        }
        for each, seen, file in zip(built, inspected, files, strict=True)
    ]
    head = {"bundle": opened.manifest.name, "sha256": opened.sha256, "for": flavour, "version": tensorrt.version}
    if as_json:
        click.echo(json.dumps({**head, "cache": str(cache.folder), "engines": rows}, indent=2))
    else:
        _print(head, rows, cache.folder)


def _print(head: dict[str, str], rows: list[dict[str, Any]], folder: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    first = rows[0]
    title = f"{head['bundle']} for {head['for']} {head['version']}, variant {first['variant']}/{first['precision']}"
    table = Table("network", "GPU", "batch", title=f"{title}; sizes in MiB", title_justify="left")
    for heading in ("layers", "kernels", "activations", "weights", "plan", "seconds"):
        table.add_column(heading, justify="right")
    for row in rows:
        report = row["report"]
        memory = (_mib(report[name]) for name in ("activation_bytes", "weight_bytes", "plan_bytes"))
        counts = (str(report[name]) for name in ("parsed_layers", "generated_kernels"))
        seconds = f"{report['build_s']:.1f}" if row["built"] else "cached"
        table.add_row(escape(row["network"]), escape(row["gpu"]), row["batch"], *counts, *memory, seconds)
    console = Console()
    console.print(table)
    for row in rows:
        if row["replaced"]:
            console.print(f"replaced: {escape(row['replaced'])}", soft_wrap=True)
    for row in rows:
        said = row["inspector"]["summary"] if row["inspector"] else f"none: {row['inspector_problem']}"
        console.print(escape(f"inspector, {row['network']} {row['gpu']}: {said}"), soft_wrap=True)
        if row["inspector_file"]:
            console.print(escape(f"  {row['inspector_file']}"), soft_wrap=True)
    console.print(f"{len(rows)} engine(s) in {escape(str(folder))}", soft_wrap=True)


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / _MIB:.1f}"
