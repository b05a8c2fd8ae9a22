"""`fundusrt demo`: the shipped sample through the shipped model."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

__all__ = ["demo", "sample_path"]


def sample_path() -> Path:
    """Return the shipped sample, a generated ultra-widefield angiogram."""
    return Path(str(resources.files("fundusrt") / "samples" / "angiogram.jpg"))


@click.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("fundusrt-demo"), show_default=True)
def demo(out: Path) -> None:
    """Run the shipped sample through the shipped model."""
    from fundusrt.commands.report import lesion_table, summary_line
    from fundusrt.loading import load

    console = Console()
    sample = sample_path()
    with load("leakage") as pipeline:
        result = pipeline(sample)
    written = result.save(out)
    identity = result.provenance
    height, width = identity.image_px
    console.print(f"sample      {sample.name}, {height} x {width} px (generated, no patient)")
    console.print(f"bundle      {identity.bundle} {identity.bundle_version}, sha256 {identity.bundle_sha256[:12]}")
    console.print(f"ran on      {identity.provider}, {identity.precision}, {identity.tiles} tiles + 1 whole image")
    console.print(f"found       {summary_line(result)}")
    console.print(lesion_table(result))
    for kind, path in written.items():
        console.print(f"{kind:<11} {escape(str(path))}", soft_wrap=True)
