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
    from fundusrt.systems import system_of

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
    console.print(f"[bold]{manifest.name} {escape(manifest.version)}[/bold]  ({manifest.system}, {manifest.task})")
    console.print(escape(manifest.description))
    always = ("intended use", manifest.intended_use), ("sha256", opened.sha256)
    for title, text in (*always, *system_of(manifest).describe(manifest)):
        console.print(f"{title:<14}{escape(text)}", soft_wrap=True)
    variants = Table(
        "network", "target", "precision", "form", "file", "weights", title="variants", title_justify="left"
    )
    for name, network in manifest.networks.items():
        for each in network.variants:
            row = name, each.target, each.precision, each.form, each.file, each.weights or "inside"
            variants.add_row(*map(escape, row))
    console.print(variants)
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
