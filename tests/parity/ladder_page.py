"""The tables of `docs/parity-ladder.md`, from the ladder's table and the mutations.

python -m tests.parity.ladder_page     measures every mutation and writes both tables into the page
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from fundusrt.certificate import Measurement
from fundusrt.ladder import LADDER
from fundusrt.testing import tiny_bundle
from fundusrt_export.branch import FORMS, deployed_form
from fundusrt_export.onnx_export import export_branch
from tests.export.small_system import SIDE, network
from tests.parity.mutations import MUTATIONS, Mutation, caught
from tests.parity.small_ladder import ROLES
from tests.parity.whole_ladder import WholeLadder

__all__ = ["PAGE", "mutation_row", "rung_rows", "section"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parity-ladder.md"
_SIGNS = {"at_most": "≤", "at_least": "≥"}


def rung_rows() -> list[str]:
    """One row a limit."""
    rows: list[str] = []
    for name, kind in LADDER.items():
        first = f"{kind.code} `{name}`".strip()
        for limit in kind.limits.values():
            figure = f"{_escaped(limit.metric)} | {_SIGNS[limit.bound]} {limit.value:g} | {limit.why}"
            rows.append(f"| {first} | {kind.compares} | {figure} | {kind.where} |")
    return rows


def mutation_row(mutation: Mutation, figure: Measurement) -> str:
    """One row; the value to two digits, since processors round differently."""
    code = LADDER[mutation.rung].code
    rung = f"{code} `{mutation.rung}`".strip()
    limit = f"{_SIGNS[figure.bound]} {figure.limit:g}"
    metric = _escaped(mutation.metric)
    return f"| {mutation.name} | {mutation.place} | {rung} | {metric} | {figure.value:.2g} | {limit} |"


def section(text: str, name: str) -> list[str]:
    """Return the rows of a table of the page, without its head."""
    inside = text.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- end of {name} -->")[0]
    return inside.splitlines()[2:]


def _with_section(text: str, name: str, rows: Sequence[str]) -> str:
    before, start, rest = text.partition(f"<!-- {name} -->\n")
    inside, end, after = rest.partition(f"<!-- end of {name} -->")
    head = inside.splitlines()[:2]
    return before + start + "\n".join([*head, *rows]) + "\n" + end + after


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _measure() -> list[str]:
    originals = {role: network(seed, levels=1) for seed, role in enumerate(ROLES)}
    rewritten = {role: {form: deployed_form(net, form) for form in FORMS} for role, net in originals.items()}
    files = {role: export_branch(net, size_px=SIDE) for role, net in originals.items()}
    with tempfile.TemporaryDirectory() as folder:
        bundle = tiny_bundle(Path(folder) / "tiny", tile_px=64, whole_px=64)
        ladder = WholeLadder.of(originals, rewritten, files, bundle)
        rows: list[str] = []
        for mutation in MUTATIONS:
            with pytest.MonkeyPatch.context() as patch:
                rows.append(mutation_row(mutation, caught(mutation, mutation.plant(ladder, patch))))
    return rows


if __name__ == "__main__":
    page = PAGE.read_text()
    page = _with_section(page, "rungs", rung_rows())
    PAGE.write_text(_with_section(page, "mutations", _measure()))
