"""From samples to figures: latency by scope and scenario, and the stages end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fundusrt.bench.quantiles import quantiles
from fundusrt.bench.report import SCENARIOS, SCOPES, Latency, Sample, Scenario, Scope, StageTime

__all__ = ["CANONICAL_STAGES", "latency", "rounds_of", "stage_times", "summarise"]

CANONICAL_STAGES = {
    "cmwnet": (
        "decode",
        "preprocess",
        "gather",
        "network_large",
        "network_small",
        "stitch",
        "upsample",
        "cgnr",
        "fuse",
        "lesions",
        "write",
    ),
    "ss-maf": ("decode", "frame", "network", "upsample", "lesions", "write"),
    "mage-net": ("decode", "frame", "network", "native", "write"),
}
"""The stages of each system on the CPU; a GPU does some of them in one."""

_SUMMED = 1e-9  # of milliseconds


def rounds_of(samples: Iterable[Sample], scope: Scope, scenario: Scenario) -> dict[tuple[int, int], list[Sample]]:
    """Return the samples of one scope and scenario, by process and round, in this order."""
    found: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        if (sample.scope, sample.scenario) == (scope, scenario):
            found.setdefault((sample.process, sample.round), []).append(sample)
    return dict(sorted(found.items()))


def latency(samples: Sequence[Sample], scope: Scope, scenario: Scenario) -> Latency | None:
    """Return the figures of one scope and scenario; None where there are no samples.

    Images a second are those of all samples over their time together; single stream this is one image after the other.
    """
    blocks = rounds_of(samples, scope, scenario)
    if not blocks:
        return None
    of = [sample for block in blocks.values() for sample in block]
    seconds = sum(sample.wall_ms for sample in of) / 1000.0
    return Latency(
        scope=scope,
        scenario=scenario,
        samples=len(of),
        quantiles=quantiles([[sample.wall_ms for sample in block] for block in blocks.values()]),
        images_per_second=sum(sample.images for sample in of) / max(seconds, _SUMMED),
    )


def summarise(samples: Sequence[Sample]) -> tuple[Latency, ...]:
    """Return the figures of every scope and scenario that was measured."""
    found = (latency(samples, scope, scenario) for scenario in SCENARIOS for scope in SCOPES)
    return tuple(each for each in found if each is not None)


def stage_times(samples: Sequence[Sample], system: str, device: str) -> tuple[StageTime, ...]:
    """Return every stage of the single stream, end to end where that was measured, else of the device.

    Args:
        samples: of a run.
        system: which system's stages are looked for.
        device: named in the reason why one has no time of its own.
    """
    for scope in ("end_to_end", "device"):
        blocks = rounds_of(samples, scope, "single_stream")
        if blocks:
            break
    else:
        reason = "neither end_to_end nor device was measured single stream"
        return tuple(StageTime(stage=stage, reason=reason) for stage in CANONICAL_STAGES[system])
    times: dict[str, list[list[float]]] = {}
    for block in blocks.values():
        for stage in dict.fromkeys(stage for sample in block for stage in sample.stages_ms or {}):
            times.setdefault(stage, []).append([max(0.0, (sample.stages_ms or {}).get(stage, 0.0)) for sample in block])
    found = {stage: quantiles(each) for stage, each in times.items()}
    whole = max(sum(each[0].ms for each in found.values()), _SUMMED)
    absent = [stage for stage in CANONICAL_STAGES[system] if stage not in found]
    why = dict.fromkeys(absent, f"no stage of its own on device {device}")
    if "write" in why and scope == "device":
        why["write"] = "end_to_end was not measured"
    return (
        *(StageTime(stage=stage, quantiles=each, share=each[0].ms / whole) for stage, each in found.items()),
        *(StageTime(stage=stage, reason=reason) for stage, reason in why.items()),
    )
