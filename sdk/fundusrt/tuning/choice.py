"""What `fundusrt.load(threads="tuned")` runs with."""

from __future__ import annotations

from fundusrt.bench.sensors import describe_machine
from fundusrt.errors import BackendUnavailable
from fundusrt.provenance import Tuning
from fundusrt.tuning.record import read_record, record_path

__all__ = ["find_tuning"]


def find_tuning(bundle: str, bundle_sha256: str, backend: str, precision: str) -> Tuning:
    """Return the setting that was chosen for a bundle and backend on this machine.

    Args:
        bundle: how the user calls it, for the error's command.
        bundle_sha256: of the bundle.
        backend: one that runs on the CPU.
        precision: of the networks.

    Raises:
        BackendUnavailable: it was not tuned here; names the command.
    """
    fix = f"run `fundusrt tune {bundle} --backend {backend} --precision {precision}`"
    machine = describe_machine()
    record = read_record(bundle_sha256, precision, machine, fix)
    for choice in record.choices:
        if choice.backend == backend:
            name = record_path(bundle_sha256, precision, machine).name
            return Tuning(threads=choice.threads, batch=choice.batch, measured=record.measured, record=name)
    raise BackendUnavailable(
        "threads='tuned'",
        got=f"backend {backend!r}, which was not tuned",
        expected=f"one of {', '.join(choice.backend for choice in record.choices)}",
        fix=fix,
    )
