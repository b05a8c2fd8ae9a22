"""`fundusrt verify`: does this bundle give its certified answers on this machine?"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fundusrt.commands.options import json_option

if TYPE_CHECKING:
    from fundusrt.verification import VerifiedRung

__all__ = ["verify"]


@click.command()
@click.argument("bundle", default="leakage")
@click.option("--backend", default="onnxruntime", show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--precision", default="fp32", show_default=True)
@json_option
def verify(bundle: str, backend: str, device: str, precision: str, as_json: bool) -> None:
    """Check hashes and certificate, then climb the ladder here: every rung that needs no PyTorch, on every runtime.

    Exit code 3 if anything does not hold.
    """
    from fundusrt.loading import installed_versions
    from fundusrt.verification import verify_bundle, verify_other_runtimes

    rungs = verify_bundle(bundle, backend=backend, device=device, precision=precision)
    not_measured: dict[str, str] = {}
    if all(rung.holds for rung in rungs[:1]):  # otherwise no runtime loads the bundle
        others = verify_other_runtimes(bundle, backend=backend, device=device, precision=precision)
        rungs, not_measured = [*rungs, *others.rungs], others.not_measured
    holds = all(rung.holds for rung in rungs)
    if as_json:
        # Through pydantic's own JSON, which has null for NaN and infinity.
        content = {
            "bundle": bundle,
            "holds": holds,
            "rungs": [{**json.loads(rung.model_dump_json()), "holds": rung.holds} for rung in rungs],
            "not_measured": not_measured,
            "environment": installed_versions(),
        }
        click.echo(json.dumps(content, indent=2))
    else:
        console = Console()
        console.print("hashes and certificate [green]ok[/green]")
        console.print(_table(rungs, f"{bundle} on {backend}, {device}, {precision}"))
        for runtime, reason in not_measured.items():
            console.print(escape(f"not measured: {runtime} ({reason})"), soft_wrap=True)
    if not holds:
        sys.exit(3)


def _table(rungs: list[VerifiedRung], title: str) -> Table:
    table = Table("rung", "metric", "certified", "here", "limit", "", title=escape(title))
    for rung in rungs:
        for measurement, certified in zip(rung.measurements, rung.certified, strict=True):
            sign = "≤" if measurement.bound == "at_most" else "≥"
            verdict = "[green]ok[/green]" if measurement.holds else "[red]FAILED[/red]"
            table.add_row(
                escape(rung.name),
                escape(measurement.metric),
                "" if certified is None else f"{certified.value:.3g}",
                f"{measurement.value:.3g}",
                f"{sign} {measurement.limit:g}",
                verdict,
            )
    return table
