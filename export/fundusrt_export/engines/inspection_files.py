"""The inspector's reports as files, one an engine, named as its plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fundusrt.atomic import write_json
from fundusrt.engine_identity import EngineOptions
from fundusrt.errors import BackendUnavailable, OutputError
from fundusrt.nvidia_driver import Driver
from fundusrt_export.engines.bundle_build import NetworkEngine
from fundusrt_export.engines.gpu_targets import GpuTarget
from fundusrt_export.engines.inspector import Inspected, why_not_inspected
from fundusrt_export.errors import InspectionError

__all__ = ["require_inspector", "write_inspections"]

_OPTION = "--inspector"


def require_inspector(driver: Driver, targets: Sequence[GpuTarget], options: EngineOptions) -> None:
    """Refuse to build for reports that this machine cannot give.

    Raises:
        BackendUnavailable: names the first target whose engines are not loaded here, and why.
    """
    for target in targets:
        problem = why_not_inspected(driver, target, options)
        if problem is not None:
            raise BackendUnavailable(
                f"{_OPTION}, engines for {target}",
                got=problem,
                expected="engines that this machine can load",
                fix=f"leave {_OPTION} out, or build on the machine that will run them",
            )


def write_inspections(folder: Path, engines: Sequence[NetworkEngine], inspected: Sequence[Inspected]) -> list[Path]:
    """Write every report; the folder is made if it is missing.

    Args:
        folder: where to.
        engines: what was built.
        inspected: the report of each.

    Returns:
        The files, in the order of the engines.

    Raises:
        InspectionError: engines without a report; the other files are written.
        OutputError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            folder, got=error.strerror or str(error), expected="a writable folder", fix="choose another folder"
        ) from error
    files: list[Path] = []
    problems: list[str] = []
    for engine, seen in zip(engines, inspected, strict=True):
        record = engine.engine.record
        if seen.inspection is None:
            problems.append(f"{engine.network} for {engine.target}: {seen.problem}")
            continue
        file = folder / f"{engine.engine.path.stem}.json"
        identity = record.identity.model_dump(mode="json")
        write_json(file, {"identity": identity, "plan_sha256": record.plan_sha256, **seen.inspection.to_dict()})
        files.append(file)
    if problems:
        raise InspectionError(
            _OPTION,
            got="; ".join(problems),
            expected="a report of every engine",
            fix=f"leave {_OPTION} out: the engines are built and in the cache",
        )
    return files
