"""`fundusrt doctor`: what this machine can run, what is missing, and the fix."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fundusrt import __version__
from fundusrt.commands.options import json_option
from fundusrt.errors import FundusRTError

__all__ = ["doctor"]


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Look at this machine and run the shipped bundles' golden vectors. Exit code 3 if something needed is missing."""
    from fundusrt.bundle import shipped_bundles
    from fundusrt.machine import Finding, examine

    findings = examine()
    for name in shipped_bundles():
        findings.append(Finding(f"{name} on onnxruntime, cpu, fp32", *_golden_run(name), needed=True))
    broken = [finding for finding in findings if finding.needed and not finding.ok]
    if as_json:
        content = {"fundusrt": __version__, "ok": not broken, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(content, indent=2))
    else:
        table = Table("", "what", "found", "fix", title=f"FundusRT {__version__}", title_justify="left")
        for finding in findings:
            mark = "[green]ok[/green]" if finding.ok else ("[red]missing[/red]" if finding.needed else "absent")
            fix = "" if finding.ok else finding.fix or ""
            table.add_row(mark, *(escape(text) for text in (finding.what, finding.detail, fix)))
        console = Console()
        console.print(table)
        console.print("ready to run" if not broken else f"{len(broken)} needed thing(s) missing: see the fixes above")
    if broken:
        sys.exit(3)


def _golden_run(name: str) -> tuple[bool, str, str | None]:
    from fundusrt.verification import verify_bundle

    try:
        rungs = verify_bundle(name)
    except FundusRTError as error:
        return False, str(error), error.fix
    except ImportError as error:  # a needed package is missing; its own row says how to get it
        return False, f"not run: {error}", "install what is missing above"
    failed = [rung.name for rung in rungs if not rung.holds]
    if failed:
        return False, f"golden vectors differ: {', '.join(failed)}", f"run `fundusrt verify {name}`"
    return True, "golden vectors reproduced", None
