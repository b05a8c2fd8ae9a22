"""A machine of two cores whose sensors say nothing but its governor."""

from __future__ import annotations

from fundusrt.bench.report import Machine, Reading, Snapshot

UNKNOWN = Reading(reason="made up")
MACHINE = Machine(
    cpu="a processor",
    cores=2,
    usable_cores=2,
    cpu_quota=UNKNOWN,
    architecture="x86_64",
    system="Linux",
    gpus=(),
)
SNAPSHOT = Snapshot(
    at="begin",
    seconds=0.0,
    governor=Reading(value="performance"),
    cpu_mhz=UNKNOWN,
    cpu_celsius=UNKNOWN,
    cpu_throttles=UNKNOWN,
    cpu_busy_s=UNKNOWN,
    own_cpu_s=0.0,
    load=UNKNOWN,
    gpu_mhz=UNKNOWN,
    gpu_celsius=UNKNOWN,
    gpu_watts=UNKNOWN,
    gpu_throttle_reasons=UNKNOWN,
)
