"""fp16, bf16 and int8 variants of a bundle's networks: made under accuracy control, measured again as rung R4."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from fundusrt.backends.base import Array
from fundusrt.certificate import Measurement, Rung
from fundusrt.errors import InvalidInput
from fundusrt.image import FundusImage
from fundusrt.ladder import LADDER
from fundusrt.manifest import AnyManifest, CmwnetManifest
from fundusrt.precision_agreement import precision_figures
from fundusrt.systems import system_of
from fundusrt_export.graph_variants import GraphVariants
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.passes import tiny_bias
from fundusrt_export.precision import LIMITS, DiceJudge, Judge, PsnrJudge, ReducedPrecision, to_precision
from fundusrt_export.precision.answering import Answering, in_onnxruntime, in_openvino
from fundusrt_export.precision.judgement import Further

__all__ = ["HELD_OUT_EVERY", "ReducedVariants", "reduce_variants", "require_held_out"]

Progress = Callable[[str], None]

HELD_OUT_EVERY = 3
"""Every third calibration image is not calibrated on: it is what the result is judged by."""

MOST_WINDOWS = 36
"""Of a network, to calibrate on and to judge by: each candidate runs on all of the latter.

More images say more than more windows of the same ones.
"""


@dataclass(frozen=True)
class ReducedVariants:
    """What was made.

    Attributes:
        contents: self-contained ONNX files by name.
        reports: what was decided for each, as JSON, by file name in the bundle.
        rungs: R4, one a precision.
    """

    contents: dict[str, bytes]
    reports: dict[str, bytes]
    rungs: tuple[Rung, ...]


def reduce_variants(
    networks: Sequence[GraphVariants],
    contents: Mapping[str, bytes],
    manifest: AnyManifest,
    images: Sequence[FundusImage],
    *,
    golden: FundusImage,
    threads: int | None = None,
    progress: Progress,
) -> ReducedVariants:
    """Make every reduction that `networks` name.

    Args:
        networks: with their precisions.
        contents: the fp32 ONNX files.
        manifest: how an image becomes the networks' inputs, and what is cut from their answers.
        images: real ones; every third is held out (`HELD_OUT_EVERY`).
        golden: the bundle's own, on which `fundusrt verify` measures again: R4 has to hold on it too.
        threads: of ONNX Runtime.
        progress: called with a line per step.

    Raises:
        InvalidInput: too few images, or none with a lesion.
        PrecisionError: a network that misses its limit in a precision whatever stays in float32.
    """
    calibration, held_out = _divided(images, manifest)
    judged_on = {"": held_out, "golden image, ": _windows([golden], manifest)}
    made: dict[str, bytes] = {}
    reports: dict[str, bytes] = {}
    figures: dict[ReducedPrecision, list[Measurement]] = {}
    for variants in networks:
        name = variants.network
        tiles, judged = (np.concatenate(list(part.feeds(name).values())) for part in (calibration, held_out))
        rankings: dict[tuple[ReducedPrecision, bool], dict[tuple[str, ...], tuple[str, ...]]] = {}
        for file, (target, precision) in variants.reductions().items():
            exact, answering = contents[variants.file(target)], None
            if (target, precision) == ("openvino", "int8"):
                exact, answering = _with_biases(exact), in_openvino(threads)
            agreement = _Agreement(name, file, exact, precision, manifest, judged_on, threads, answering)
            judge = _judge(exact, manifest, judged, precision, threads, agreement, answering)
            result = to_precision(
                exact,
                precision,
                tiles,
                task=manifest.task,
                judge=judge,
                threads=threads,
                progress=progress,
                rankings=rankings.setdefault((precision, answering is None), {}),
            )
            made[file] = result.content
            reports[f"precision/{file.removesuffix('.onnx')}.json"] = (
                json.dumps(result.report.to_dict(), indent=1, sort_keys=True).encode() + b"\n"
            )
            own = result.report.figure.model_copy(update={"metric": f"{file}: {result.report.figure.metric}"})
            figures.setdefault(precision, []).extend((own, *agreement(result.content)))
    rungs = tuple(
        Rung(
            name=f"precision-{precision}",
            compares=LADDER[f"precision-{precision}"].compares,
            inputs={name: digest for part in judged_on.values() for name, digest in part.hashes().items()},
            measurements=tuple(measurements),
        )
        for precision, measurements in figures.items()
    )
    return ReducedVariants(made, reports, rungs)


def require_held_out(images: int) -> None:
    """Refuse a number of calibration images of which none would be held out.

    Raises:
        InvalidInput: fewer than `HELD_OUT_EVERY`.
    """
    if images < HELD_OUT_EVERY:
        raise InvalidInput(
            "--calibration",
            got=f"{images} images",
            expected=f"at least {HELD_OUT_EVERY}; every third is held out to judge by",
            fix="name a folder of real images, diseased eyes among them",
        )


def _divided(images: Sequence[FundusImage], manifest: AnyManifest) -> tuple[ParityInputs, ParityInputs]:
    """Return the windows to calibrate on and those to judge by, of different images."""
    require_held_out(len(images))
    held_out = images[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    rest = [image for index, image in enumerate(images) if (index + 1) % HELD_OUT_EVERY]
    return _windows(rest, manifest), _windows(held_out, manifest)


def _windows(images: Sequence[FundusImage], manifest: AnyManifest) -> ParityInputs:
    if isinstance(manifest, CmwnetManifest):
        inputs = ParityInputs.of(images, manifest.preprocess, manifest.tile, manifest.whole_image)
    else:
        inputs = ParityInputs.of_frames(images, manifest)
    return inputs.of_images().at_most(MOST_WINDOWS)


def _judge(
    network: bytes,
    manifest: AnyManifest,
    tiles: Array,
    precision: ReducedPrecision,
    threads: int | None,
    further: Further,
    answering: Answering | None,
) -> Judge:
    limit, threshold = LIMITS[manifest.task, precision], system_of(manifest).threshold(manifest)
    if threshold is None:
        return PsnrJudge(network, tiles, limit=limit, threads=threads, further=further, answering=answering)
    return DiceJudge(
        network, tiles, threshold=threshold, limit=limit, threads=threads, further=further, answering=answering
    )


def _with_biases(content: bytes) -> bytes:
    model = onnx.load_model_from_string(content)
    tiny_bias(model)
    return model.SerializeToString(deterministic=True)


class _Agreement:
    """R4's figures of one file's candidates, on held-out windows (label "") and on the golden image's."""

    def __init__(
        self,
        network: str,
        file: str,
        exact: bytes,
        precision: ReducedPrecision,
        manifest: AnyManifest,
        inputs: Mapping[str, ParityInputs],
        threads: int | None,
        answering: Answering | None,
    ) -> None:
        self._file, self._precision = file, precision
        self._answering = answering or in_onnxruntime(threads)
        self._threshold = system_of(manifest).threshold(manifest)
        self._tiles = {label: np.concatenate(list(part.feeds(network).values())) for label, part in inputs.items()}
        self._windows = {label: list(part.windows[network].values()) for label, part in inputs.items()}
        self._truth = {label: in_onnxruntime(threads)(exact, tiles) for label, tiles in self._tiles.items()}

    def __call__(self, candidate: bytes, held_out: Sequence[Array] | None = None) -> list[Measurement]:
        """Return the figures; `held_out` are the answers to the held-out windows, where they are known."""
        figures: list[Measurement] = []
        for label, windows in self._windows.items():
            known = held_out if label == "" and held_out is not None else None
            made = known if known is not None else self._answering(candidate, self._tiles[label])
            figures += precision_figures(
                self._precision,
                np.stack(self._truth[label]),
                np.stack(made),
                windows,
                threshold=self._threshold,
                network=f"{label}{self._file}",
            )
        return figures
