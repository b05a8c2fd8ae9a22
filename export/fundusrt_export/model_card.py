"""The model card of a bundle: what it is for, what it was made from, how well it agrees with its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fundusrt.certificate import Rung

__all__ = ["BundleInfo", "model_card"]


@dataclass(frozen=True)
class BundleInfo:
    """What the exporter says about the model.

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
    label: str = "leakage"
    description: str = "Leakage areas in late-phase ultra-widefield fluorescein angiograms (CMWNet with UNet-Wavelet)."
    intended_use: str = "Research and integration tests. Not a medical device; not for diagnosis. Not for clinical use."
    training_data: str = "Not stated by the exporter."
    results: str = "Not stated by the exporter."
    limits: str = "Not evaluated on other cameras, other phases of the angiogram, or colour fundus photographs."


def model_card(
    info: BundleInfo, facts: dict[str, Any], rungs: Sequence[Rung], form: str, checkpoint_sha256: str
) -> bytes:
    """Return `MODEL_CARD.md`.

    Args:
        info: what the exporter says.
        facts: metadata of the checkpoint.
        rungs: the measured ladder.
        form: graph form of the networks.
        checkpoint_sha256: of the checkpoint file.
    """
    unet = facts["config"].get("unet", {})
    lines = [
        f"# {info.name} {info.version}",
        "",
        info.description,
        "",
        "| | |",
        "|---|---|",
        f"| marks | {info.label} |",
        f"| intended use | {info.intended_use} |",
        f"| training data | {info.training_data} |",
        f"| results | {info.results} |",
        f"| limits | {info.limits} |",
        "| system | CMWNet: two UNet-Wavelet branches (whole image, tiles), CGNR, fusion |",
        f"| network | {', '.join(f'{key} {unet[key]}' for key in ('base', 'levels', 'wave') if key in unet)} |",
        f"| form | {form}, float32, ONNX opset 18 |",
        f"| checkpoint | step {facts.get('step', '?')}, sha256 {checkpoint_sha256} |",
        "",
        "## Measured agreement with training",
        "",
        "| rung | figure | value | limit |",
        "|---|---|---|---|",
    ]
    for rung in rungs:
        for figure in rung.measurements:
            sign = "at most" if figure.bound == "at_most" else "at least"
            metric = figure.metric.replace("|", "\\|")
            lines.append(f"| {rung.name} | {metric} | {_number(figure.value)} | {sign} {figure.limit:g} |")
    lines += ["", "`certificate.json` holds the same figures with the inputs' hashes and the environment.", ""]
    return "\n".join(lines).encode()


def _number(value: float) -> str:
    return f"{value:.2e}" if abs(value) < 0.1 and value else f"{value:.8g}"
