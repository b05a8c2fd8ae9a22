"""Which two runs may be compared, and what differs between them on purpose."""

from __future__ import annotations

from fundusrt.bench.report import SCENARIOS, SCOPES, BenchReport, Scenario, Scope
from fundusrt.errors import InvalidInput

__all__ = ["require_alike", "shared_scopes", "what_differs"]


def require_alike(a: BenchReport, b: BenchReport, names: tuple[str, str] = ("A", "B")) -> None:
    """Refuse two runs whose ratio would say nothing: everything unlike is named at once.

    Alike have to be the bundle, the images, the machine with its governor, the workers, and one scope and scenario at
    least; both runs must have answered rightly. Backend, device, precision, threads, batch and versions may differ:
    that is what runs are compared for.

    Raises:
        InvalidInput: they are unlike, or one of them is wrong.
    """
    for name, report in zip(names, (a, b), strict=True):
        if not report.correctness.holds:
            wrong = [check.what for check in report.correctness.checks if not check.holds]
            raise InvalidInput(
                name,
                got=f"a run with wrong answers ({'; '.join(wrong)})",
                expected="a run whose answers are right",
                fix="run `fundusrt verify` with the same backend",
            )
    unlike = [
        f"{field}: {left} and {right}"
        for field, left, right in zip(_FIELDS, _alike(a), _alike(b), strict=True)
        if left != right
    ]
    if not shared_scopes(a, b):
        unlike.append(f"scopes: {_measured(a)} and {_measured(b)}")
    if unlike:
        raise InvalidInput(
            f"{names[0]} and {names[1]}",
            got="; ".join(unlike),
            expected="runs of the same bundle, images, machine and scope",
            fix="measure both on one machine with the same bundle, images and workers",
        )


def shared_scopes(a: BenchReport, b: BenchReport) -> list[tuple[Scope, Scenario]]:
    """Return what both runs measured, the widest scope first.

    The networks alone are timed by other clocks on a GPU than on a CPU, so of runs on different devices they are left
    out.
    """
    found = [{(each.scope, each.scenario) for each in report.latency} for report in (a, b)]
    return [
        (scope, scenario)
        for scenario in SCENARIOS
        for scope in reversed(SCOPES)
        if (scope, scenario) in found[0] & found[1] and (scope != "network" or a.runtime.device == b.runtime.device)
    ]


def what_differs(a: BenchReport, b: BenchReport) -> list[str]:
    """Return what the comparison is about, or what may have been overlooked: runtime, versions, driver."""
    left, right = ({**report.runtime.model_dump(), "driver": report.environment.driver.value} for report in (a, b))
    lines = [f"{name}: {left[name]} and {right[name]}" for name in left if left[name] != right[name]]
    old, new = a.environment.versions, b.environment.versions
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            lines.append(f"{name}: {old.get(name, 'absent')} and {new.get(name, 'absent')}")
    return lines


_FIELDS = (
    "bundle sha256",
    "images",
    "cpu",
    "cores",
    "usable cores",
    "cpu quota",
    "architecture",
    "system",
    "GPUs",
    "governor",
    "workers",
    "clock",
)


def _alike(report: BenchReport) -> tuple[object, ...]:
    machine, snapshots = report.environment.machine, report.environment.snapshots
    governor = sorted({str(snapshot.governor.value or "unknown") for snapshot in snapshots})
    return (
        report.bundle.sha256,
        ", ".join(f"{image.name} {image.sha256[:12]}" for image in report.images),
        machine.cpu,
        machine.cores,
        machine.usable_cores,
        machine.cpu_quota.value or "none",
        machine.architecture,
        machine.system,
        ", ".join(machine.gpus) or "none",
        ", ".join(governor) or "unknown",
        report.protocol.workers if any(each.scenario == "offline" for each in report.latency) else "none",
        report.protocol.clock,
    )


def _measured(report: BenchReport) -> str:
    return ", ".join(f"{each.scope} {each.scenario}" for each in report.latency)
