"""`fundusrt demo`: a sample through a model."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from fundusrt.image import FundusImage

__all__ = ["demo", "sample_path"]


def sample_path() -> Path:
    """Return the shipped sample, a generated ultra-widefield angiogram."""
    return Path(str(resources.files("fundusrt") / "samples" / "angiogram.jpg"))


@click.command()
@click.option("-m", "--model", default="leakage", show_default=True, help="Shipped name, bundle folder or .frt file.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("fundusrt-demo"), show_default=True)
def demo(model: str, out: Path) -> None:
    """Run a sample through a model: the shipped angiogram, or for other systems the bundle's own golden image."""
    from fundusrt.commands.report import lesion_table_of
    from fundusrt.loading import load

    console = Console()
    sample, note = _sample(model)
    with load(model) as pipeline:
        result = pipeline(sample)
    written = result.save(out)
    identity = result.provenance
    height, width = identity.image_px
    console.print(f"sample      {Path(identity.source).name}, {height} x {width} px ({note})")
    console.print(f"bundle      {identity.bundle} {identity.bundle_version}, sha256 {identity.bundle_sha256[:12]}")
    console.print(f"ran on      {identity.provider}, {identity.precision}, {identity.work()}")
    console.print(f"found       {result.summary()}")
    table = lesion_table_of(result)
    if table is not None:
        console.print(table)
    for kind, path in written.items():
        console.print(f"{kind:<11} {escape(str(path))}", soft_wrap=True)


def _sample(model: str) -> tuple[Path | FundusImage, str]:
    """Return an image that the model is for, and where it is from."""
    from fundusrt.bundle import Bundle
    from fundusrt.golden import golden_image
    from fundusrt.systems import system_of

    bundle = Bundle.open(model)
    if system_of(bundle.manifest).has_sample:
        return sample_path(), "generated, no patient"
    return golden_image(bundle), "the bundle's golden image"
