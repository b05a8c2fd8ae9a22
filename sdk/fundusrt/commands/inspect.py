"""`fundusrt inspect`: what is inside a bundle."""

from __future__ import annotations

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fundusrt.commands.options import json_option

__all__ = ["inspect"]


@click.command()
@click.argument("bundle", default="leakage")
@json_option
def inspect(bundle: str, as_json: bool) -> None:
    """Show a bundle's manifest, files and certificate."""
    from fundusrt.bundle import Bundle

    opened = Bundle.open(bundle)
    manifest, certificate = opened.manifest, opened.certificate
    if as_json:
        import json

        content = {
            "sha256": opened.sha256,
            "manifest": manifest.model_dump(mode="json"),
            "certificate": certificate.model_dump(mode="json"),
        }
        click.echo(json.dumps(content, indent=2))
        return
    console = Console()
    label = escape(f"({manifest.system}, {manifest.task}: {manifest.label})")
    console.print(f"[bold]{manifest.name} {escape(manifest.version)}[/bold]  {label}")
    console.print(escape(manifest.description))
    console.print(f"intended use  {escape(manifest.intended_use)}")
    console.print(f"sha256        {opened.sha256}", soft_wrap=True)
    clahe = manifest.preprocess.clahe
    contrast = "none" if clahe is None else f"CLAHE clip {clahe.clip:g}, grid {clahe.grid} on {clahe.space} lightness"
    gamma, channels = manifest.preprocess.gamma, manifest.preprocess.channels
    console.print(f"preprocess    {contrast}; gamma {gamma:g}; {channels} channels")
    console.print(
        f"tiles         {manifest.tile.size} px, sides rounded {manifest.tile.round}; "
        f"whole image {manifest.whole_image.size} px ({manifest.whole_image.interpolation})"
    )
    post = manifest.postprocess
    refinement = f"CGNR {post.cgnr.mode}" if post.cgnr.enabled else "no CGNR"
    console.print(f"postprocess   {post.order}, {refinement}, w_large {post.w_large:g}, threshold {post.threshold:g}")
    files = Table("file", "bytes", "sha256", title="files", title_justify="left")
    for name, record in sorted(manifest.files.items()):
        files.add_row(name, str(record.bytes), record.sha256[:16])
    console.print(files)
    rungs = Table("rung", "metric", "value", "limit", title="certificate", title_justify="left")
    for rung in certificate.rungs:
        for measurement in rung.measurements:
            sign = "≤" if measurement.bound == "at_most" else "≥"
            name, metric = escape(rung.name), escape(measurement.metric)
            rungs.add_row(name, metric, f"{measurement.value:.6g}", f"{sign} {measurement.limit:g}")
    console.print(rungs)
