"""The model card of a bundle: what it is for, what it was made from, how well it agrees with its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fundusrt.certificate import Rung
from fundusrt.errors import UsageError

__all__ = ["BundleInfo", "BundleWords", "complete", "model_card"]


@dataclass(frozen=True)
class BundleWords:
    """What a system says about its models where the exporter says nothing.

    Attributes:
        label: what a mask pixel means; None for a system without masks.
        description: one or two sentences.
        limits: known limits.
    """

    label: str | None
    description: str
    limits: str


@dataclass(frozen=True)
class BundleInfo:
    """What the exporter says about the model; None takes the system's own words.

    Attributes:
        name: lower-case name of the bundle, `[a-z0-9][a-z0-9_-]*`.
        version: of the model.
        label: what a mask pixel means.
        description: one or two sentences.
        intended_use: what it may be used for, and what not.
        training_data: what it was trained on.
        results: measured accuracy with its data, or why there is none.
        limits: known limits.
    """

    name: str
    version: str = "0.1.0"
    label: str | None = None
    description: str | None = None
    intended_use: str = "Research and integration tests. Not a medical device; not for diagnosis. Not for clinical use."
    training_data: str = "Not stated by the exporter."
    results: str = "Not stated by the exporter."
    limits: str | None = None


def complete(info: BundleInfo, words: BundleWords) -> BundleInfo:
    """Return `info` with the system's words where it has none.

    Raises:
        UsageError: a label for a system without masks.
    """
    if words.label is None and info.label is not None:
        raise UsageError(
            "--label", got=repr(info.label), expected="none: this system makes no masks", fix="leave --label out"
        )
    return replace(
        info,
        label=words.label if info.label is None else info.label,
        description=words.description if info.description is None else info.description,
        limits=words.limits if info.limits is None else info.limits,
    )


def model_card(
    info: BundleInfo,
    facts: dict[str, Any],
    rungs: Sequence[Rung],
    *,
    rows: Sequence[tuple[str, str]],
    form: str,
    checkpoint_sha256: str,
) -> bytes:
    """Return `MODEL_CARD.md`.

    Args:
        info: what the exporter says, completed.
        facts: metadata of the checkpoint.
        rungs: the measured ladder.
        rows: system and network, as titles and texts.
        form: graph form of the networks.
        checkpoint_sha256: of the checkpoint file.
    """
    stated = [
        *([("marks", info.label)] if info.label is not None else []),
        ("intended use", info.intended_use),
        ("training data", info.training_data),
        ("results", info.results),
        ("limits", info.limits),
        *rows,
        ("form", f"{form}, float32, ONNX opset 18"),
        ("checkpoint", f"step {facts.get('step', '?')}, sha256 {checkpoint_sha256}"),
    ]
    lines = [f"# {info.name} {info.version}", "", str(info.description), "", "| | |", "|---|---|"]
    lines += [f"| {title} | {text} |" for title, text in stated]
    lines += ["", "## Measured agreement with training", "", "| rung | figure | value | limit |", "|---|---|---|---|"]
    for rung in rungs:
        for figure in rung.measurements:
            sign = "at most" if figure.bound == "at_most" else "at least"
            metric = figure.metric.replace("|", "\\|")
            lines.append(f"| {rung.name} | {metric} | {_number(figure.value)} | {sign} {figure.limit:g} |")
    lines += ["", "`certificate.json` holds the same figures with the inputs' hashes and the environment.", ""]
    return "\n".join(lines).encode()


def _number(value: float) -> str:
    return f"{value:.2e}" if abs(value) < 0.1 and value else f"{value:.8g}"
