"""What NVIDIA's driver says of the first GPU, asked through the program that comes with it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fundusrt.bench.report import Reading

__all__ = ["GpuReadings", "no_gpu", "read_gpu", "throttle_names"]

Run = Callable[[Sequence[str]], str]

_FIELDS = ("driver_version", "clocks.sm", "temperature.gpu", "power.draw")
# The field has been renamed; a driver knows one of the two.
_THROTTLE_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
_SECONDS = 10.0

# Bits of nvmlClocksEventReasons (nvml.h). The first two and the last are no slowing down against the GPU's will.
_BITS = {
    0x1: "idle",
    0x2: "set clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
    0x100: "display clocks",
}
HARMLESS = ("idle", "set clocks", "display clocks", "sync boost")
"""Reasons of a lower clock that are no throttling."""


@dataclass(frozen=True)
class GpuReadings:
    """The sensors of one GPU."""

    driver: Reading
    mhz: Reading
    celsius: Reading
    watts: Reading
    throttle_reasons: Reading


def read_gpu(run: Run | None = None) -> GpuReadings:
    """Ask `nvidia-smi`; what it does not say is null with the reason.

    Args:
        run: takes the arguments and returns the output, or raises OSError or subprocess.SubprocessError; None for the
            program itself.
    """
    run = run or _nvidia_smi
    try:
        values = _query(run, _FIELDS)
    except FileNotFoundError:
        return no_gpu("nvidia-smi is not installed")
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return no_gpu(f"nvidia-smi failed: {type(error).__name__}")
    driver, mhz, celsius, watts = values
    return GpuReadings(
        driver=_text(driver, "driver_version"),
        mhz=_number(mhz, "clocks.sm"),
        celsius=_number(celsius, "temperature.gpu"),
        watts=_number(watts, "power.draw"),
        throttle_reasons=_throttles(run),
    )


def no_gpu(reason: str) -> GpuReadings:
    """Return readings that are all null for one reason."""
    return GpuReadings(*(Reading(reason=reason) for _ in range(5)))


def throttle_names(mask: int) -> str:
    """Return the names of the bits of a mask, comma separated; `none` for 0."""
    known = [name for bit, name in _BITS.items() if mask & bit]
    other = mask & ~sum(_BITS)
    return ", ".join([*known, *([hex(other)] if other else [])]) or "none"


def _throttles(run: Run) -> Reading:
    for field in _THROTTLE_FIELDS:
        try:
            (value,) = _query(run, (field,))
            return Reading(value=throttle_names(int(value, 16)))
        except (OSError, subprocess.SubprocessError, ValueError):
            continue
    return Reading(reason="nvidia-smi knows no throttle reasons of this GPU")


def _query(run: Run, fields: Sequence[str]) -> list[str]:
    line = run([f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits", "--id=0"]).strip().splitlines()[:1]
    values = [value.strip() for value in "".join(line).split(",")]
    if len(values) != len(fields):
        raise ValueError(f"{len(values)} values of {len(fields)}")
    return values


def _nvidia_smi(arguments: Sequence[str]) -> str:
    done = subprocess.run(
        ["nvidia-smi", *arguments], capture_output=True, text=True, check=True, timeout=_SECONDS, errors="replace"
    )
    return done.stdout


def _number(value: str, field: str) -> Reading:
    try:
        return Reading(value=float(value))
    except ValueError:  # "[N/A]", or NaN
        return Reading(reason=f"nvidia-smi gives no {field}")


def _text(value: str, field: str) -> Reading:
    return Reading(value=value) if value and "N/A" not in value else Reading(reason=f"nvidia-smi gives no {field}")
