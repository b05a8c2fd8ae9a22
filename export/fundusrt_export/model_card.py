"""The model card of a bundle: what it is for, what it was made from, how well it agrees with its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fundusrt.certificate import Rung
from fundusrt.errors import InvalidInput, UsageError

__all__ = ["BundleInfo", "BundleWords", "KnownFailure", "complete", "failure_pictures", "model_card"]

_LARGEST_PICTURE = 2**19  # bytes: a card is read, and shipped with every device
_PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg"}


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
class KnownFailure:
    """A picture of what the model gets wrong, and what it shows. The picture is shipped: it must be free to share."""

    picture: Path
    caption: str


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
        failures: known failures with a picture each.
    """

    name: str
    version: str = "0.1.0"
    label: str | None = None
    description: str | None = None
    intended_use: str = "Research and integration tests. Not a medical device; not for diagnosis. Not for clinical use."
    training_data: str = "Not stated by the exporter."
    results: str = "Not stated by the exporter."
    limits: str | None = None
    failures: tuple[KnownFailure, ...] = ()


def failure_pictures(info: BundleInfo) -> dict[str, bytes]:
    """Return the pictures of the known failures by their names in the bundle, in the failures' order.

    Raises:
        InvalidInput: a file that cannot be read, is neither PNG nor JPEG, or is larger than 512 KiB.
    """
    pictures: dict[str, bytes] = {}
    for number, failure in enumerate(info.failures, 1):
        try:
            content = failure.picture.read_bytes()
        except OSError as error:
            raise InvalidInput(
                failure.picture, got=error.strerror, expected="a picture", fix="name a PNG or JPEG file"
            ) from error
        ending = next((ending for magic, ending in _PICTURES.items() if content.startswith(magic)), None)
        if ending is None or len(content) > _LARGEST_PICTURE:
            raise InvalidInput(
                failure.picture,
                got="another format" if ending is None else f"{len(content) / 1024:.0f} KiB",
                expected=f"a PNG or JPEG picture of at most {_LARGEST_PICTURE // 1024} KiB",
                fix="save a smaller copy of it",
            )
        pictures[f"card/failure-{number}.{ending}"] = content
    return pictures


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
    pictures: Sequence[str] = (),
) -> bytes:
    """Return `MODEL_CARD.md`.

    Args:
        info: what the exporter says, completed.
        facts: metadata of the checkpoint.
        rungs: the measured ladder.
        rows: system and network, as titles and texts.
        form: graph form of the networks.
        checkpoint_sha256: of the checkpoint file.
        pictures: names of the failures' pictures in the bundle, as `failure_pictures` returns them.
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
    if info.failures:
        lines += ["", "## Known failures"]
    for failure, picture in zip(info.failures, pictures, strict=True):
        lines += ["", f"![{failure.caption}]({picture})", "", failure.caption]
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
