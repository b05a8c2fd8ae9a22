"""Whether the very pipeline that was timed answers rightly: a fast wrong engine is no fast engine.

1. Its answers to the golden image keep the limits of `fundusrt verify`.
2. Every timed call of an image gave the same bytes (`answers.py`).
3. Where it is not the CPU reference itself: its answer to a timed image agrees with ONNX Runtime's on the CPU in fp32.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fundusrt.agreement import measured
from fundusrt.bench.answers import AnswerBook
from fundusrt.bench.report import Check, Correctness
from fundusrt.bench.scopes import answer_arrays
from fundusrt.bundle import Bundle
from fundusrt.certificate import Measurement
from fundusrt.enhancement_result import EnhancementResult
from fundusrt.errors import BackendUnavailable, FundusRTError
from fundusrt.loading import AnyPipeline, load
from fundusrt.result_files import Result
from fundusrt.results import SegmentationResult
from fundusrt.task_agreement import dice, image_figures, mask_figures, psnr
from fundusrt.verification import compare_pipeline

__all__ = ["REFERENCE", "check_answers", "check_golden", "check_reference", "judge"]

REFERENCE = ("onnxruntime", "cpu", "fp32")
"""What other runtimes are compared with."""


def judge(checks: Sequence[Check]) -> Correctness:
    """Return whether all of them hold."""
    return Correctness(holds=all(check.holds for check in checks), checks=tuple(checks))


def check_golden(pipeline: AnyPipeline, bundle: Bundle, backend: str, precision: str) -> list[Check]:
    """Compare with the bundle's golden vectors; a pipeline that refuses its own answer is one failed check."""
    try:
        rungs = compare_pipeline(pipeline, bundle, backend=backend, precision=precision)
    except FundusRTError as error:
        return [Check(what="golden image", got=str(error), expected="an answer", holds=False)]
    return [_check(f"golden image, {rung.name}", figure) for rung in rungs for figure in rung.measurements]


def check_answers(answers: AnswerBook, names: Sequence[str]) -> list[Check]:
    """Compare the timed answers with each other."""
    return answers.checks(names)


def check_reference(
    pipeline: AnyPipeline, model: str, file: Path, answers: AnswerBook, runtime: tuple[str, str, str]
) -> list[Check]:
    """Compare the answer to the first timed image with the reference's.

    Args:
        pipeline: the one that was timed.
        model: the bundle that the reference is loaded from.
        file: the first image.
        answers: of the timed calls, which this answer has to be one of.
        runtime: backend, device and precision of the pipeline.
    """
    if runtime == REFERENCE:
        return []
    what = f"{file.name}, {', '.join(REFERENCE)}"
    made = pipeline(file)
    same = answers.gave(0, answer_arrays(made))
    checks: list[Check] = []
    if same is not None:
        got = "the timed answer" if same else "another answer than when it was timed"
        checks.append(Check(what=f"{file.name}, once more", got=got, expected="the timed answer", holds=same))
    try:
        with load(model, backend=REFERENCE[0], device=REFERENCE[1], precision=REFERENCE[2]) as reference:
            expected = reference(file)
    except BackendUnavailable as error:
        return [*checks, Check(what=what, got=str(error), expected="the reference's answer", holds=False)]
    return [*checks, *(_check(what, figure) for figure in _figures(expected, made, runtime[2]))]


def _figures(expected: Result, made: Result, precision: str) -> list[Measurement]:
    """Return what the task needs; of a reduced precision, what it may lose."""
    rung = f"precision-{precision}"
    if isinstance(expected, SegmentationResult) and isinstance(made, SegmentationResult):
        if precision == "fp32":
            return mask_figures(expected.mask, made.mask)
        return [measured(rung, "drop", 1.0 - dice(expected.mask, made.mask))]
    if isinstance(expected, EnhancementResult) and isinstance(made, EnhancementResult):
        if precision == "fp32":
            return image_figures(expected.image, made.image)
        return [measured(rung, "psnr", psnr(expected.image, made.image))]
    raise TypeError(f"{type(expected).__name__} and {type(made).__name__} cannot be compared")


def _check(what: str, figure: Measurement) -> Check:
    sign = "≤" if figure.bound == "at_most" else "≥"
    return Check(
        what=f"{what}, {figure.metric}",
        got=f"{figure.value:.4g}",
        expected=f"{sign} {figure.limit:g}",
        holds=figure.holds,
    )
