"""The file that keeps what was measured: plain JSON, one file a machine and bundle, in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fundusrt.atomic import write_json
from fundusrt.bench.report import Machine
from fundusrt.engine_folder import default_engine_folder
from fundusrt.errors import BackendUnavailable

__all__ = [
    "Trial",
    "TunedChoice",
    "TuningRecord",
    "machine_key",
    "now",
    "read_record",
    "record_path",
    "write_record",
]

_LARGEST_BYTES = 2**20

Count = Annotated[int, Field(ge=1, le=1024)]
Milliseconds = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(_Part):
    """One setting: milliseconds of each round, in order; null is what `load` takes where nothing is said."""

    backend: str
    threads: Count | None
    batch: Count | None
    rounds_ms: Annotated[tuple[Milliseconds, ...], Field(min_length=1)]


class TunedChoice(_Part):
    """The setting that was chosen for a backend; `ratio` is its time over that of the default setting."""

    backend: str
    threads: Count | None
    batch: Count | None
    median_ms: Milliseconds
    ratio: Milliseconds


class TuningRecord(_Part):
    """What was measured for one bundle on one machine.

    Attributes:
        measured: when, UTC.
        precision: of the networks.
        image_px: height and width of the image it was measured on.
        choices: one a backend, the fastest first.
        trials: everything that was measured.
        left_out: settings that were not measured or answered wrongly, and why.
    """

    format: Literal["fundusrt-tuning"] = "fundusrt-tuning"
    format_version: Literal[1] = 1
    bundle: str
    bundle_sha256: Sha256
    machine: Machine
    measured: str
    precision: str
    image_px: tuple[int, int]
    versions: dict[str, str]
    choices: Annotated[tuple[TunedChoice, ...], Field(min_length=1)]
    trials: tuple[Trial, ...]
    left_out: dict[str, str]


def machine_key(machine: Machine) -> str:
    """Return the sha256 of what the machine is: another processor, core count, quota or GPU gives another."""
    return hashlib.sha256(machine.model_dump_json().encode()).hexdigest()


def record_path(bundle_sha256: str, precision: str, machine: Machine) -> Path:
    """Return where the record of a bundle lies: `tuning` in the cache folder (`$FUNDUSRT_CACHE`, see docs/engines.md).

    Raises:
        BackendUnavailable: there is no such folder, as for a user without a home.
    """
    name = f"{bundle_sha256[:16]}-{precision}-{machine_key(machine)[:16]}.json"
    return default_engine_folder().with_name("tuning") / name


def write_record(record: TuningRecord) -> Path:
    """Write a record, in one step; an older one is replaced.

    Raises:
        OutputError: it cannot be written.
        BackendUnavailable: as of `record_path`.
    """
    path = record_path(record.bundle_sha256, record.precision, record.machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record.model_dump(mode="json"))
    return path


def read_record(bundle_sha256: str, precision: str, machine: Machine, fix: str) -> TuningRecord:
    """Return the record of a bundle on a machine.

    Args:
        bundle_sha256: of the bundle.
        precision: of its networks.
        machine: this one.
        fix: the command that makes it, for errors.

    Raises:
        BackendUnavailable: there is none, or the file is no such record of this bundle and machine.
    """
    path = record_path(bundle_sha256, precision, machine)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise BackendUnavailable(
            "threads='tuned'", got="a bundle that was not tuned on this machine", expected=str(path), fix=fix
        ) from error
    except OSError as error:
        raise BackendUnavailable(path, got=error.strerror or str(error), expected="a readable file", fix=fix) from error
    try:
        if len(content) > _LARGEST_BYTES:
            raise ValueError(f"more than {_LARGEST_BYTES} bytes")
        record = TuningRecord.model_validate(json.loads(content))
    except (ValueError, ValidationError) as error:
        got = str(error).splitlines()[0]
        raise BackendUnavailable(path, got=got, expected="a tuning record, version 1", fix=fix) from error
    if (record.bundle_sha256, record.precision, record.machine) != (bundle_sha256, precision, machine):
        raise BackendUnavailable(
            path, got="the record of something else", expected="this bundle, precision and machine", fix=fix
        )
    return record


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
