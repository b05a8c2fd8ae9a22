"""`fundusrt verify`: does this bundle give its certified answers on this machine?"""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fundusrt.commands.options import json_option

__all__ = ["verify"]


@click.command()
@click.argument("bundle", default="leakage")
@click.option("--backend", default="onnxruntime", show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--precision", default="fp32", show_default=True)
@json_option
def verify(bundle: str, backend: str, device: str, precision: str, as_json: bool) -> None:
    """Check hashes and certificate, then run the golden vectors here. Exit code 3 if anything does not hold."""
    from fundusrt.verification import verify_bundle

    rungs = verify_bundle(bundle, backend=backend, device=device, precision=precision)
    holds = all(rung.holds for rung in rungs)
    if as_json:
        # Through pydantic's own JSON, which has null for NaN and infinity.
        content = [{**json.loads(rung.model_dump_json()), "holds": rung.holds} for rung in rungs]
        click.echo(json.dumps({"bundle": bundle, "holds": holds, "rungs": content}, indent=2))
    else:
        title = escape(f"{bundle} on {backend}, {device}, {precision}")
        table = Table("rung", "metric", "value", "limit", "", title=title)
        for rung in rungs:
            for measurement in rung.measurements:
                sign = "≤" if measurement.bound == "at_most" else "≥"
                verdict = "[green]ok[/green]" if measurement.holds else "[red]FAILED[/red]"
                table.add_row(
                    rung.name, measurement.metric, f"{measurement.value:.3g}", f"{sign} {measurement.limit:g}", verdict
                )
        console = Console()
        console.print("hashes and certificate [green]ok[/green]")
        console.print(table)
    if not holds:
        sys.exit(3)
