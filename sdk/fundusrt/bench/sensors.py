"""The sensors of this machine. What it does not have, or does not let a user read, is null with the reason."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

from fundusrt.bench.nvidia_smi import GpuReadings, no_gpu, read_gpu
from fundusrt.bench.report import Machine, Reading, Snapshot
from fundusrt.machine import cpu_name
from fundusrt.nvidia_driver import probe_driver

__all__ = ["Sensors", "describe_machine"]

_PROCESSOR_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal")
_PROCESSOR_ZONES = ("cpu", "pkg", "soc", "acpitz")


class Sensors:
    """Reads what can change during a run.

    Args:
        root: the root of the file system.
        gpu: reads the GPU; None for `nvidia-smi` where the driver offers a GPU, else nothing.
    """

    def __init__(self, root: Path = Path("/"), gpu: Callable[[], GpuReadings] | None = None) -> None:
        self._cpus = root / "sys/devices/system/cpu"
        self._thermal = root / "sys/class/thermal"
        self._hwmon = root / "sys/class/hwmon"
        self._proc = root / "proc"
        self._begin = time.monotonic()
        if gpu is None:
            problem = probe_driver().problem
            gpu = read_gpu if problem is None else lambda: no_gpu(f"NVIDIA driver: {problem}")
        self._gpu = gpu

    def snapshot(self, at: str) -> Snapshot:
        """Read everything once."""
        gpu = self._gpu()
        return Snapshot(
            at=at,
            seconds=round(time.monotonic() - self._begin, 3),
            governor=self._governor(),
            cpu_mhz=self._mhz(),
            cpu_celsius=self._celsius(),
            cpu_throttles=self._throttles(),
            cpu_busy_s=self._busy(),
            own_cpu_s=time.process_time(),
            load=self._load(),
            gpu_mhz=gpu.mhz,
            gpu_celsius=gpu.celsius,
            gpu_watts=gpu.watts,
            gpu_throttle_reasons=gpu.throttle_reasons,
        )

    def driver(self) -> Reading:
        """Return the version of the GPU's driver."""
        return self._gpu().driver

    def _governor(self) -> Reading:
        found = sorted({_text(path) for path in self._cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {""})
        return Reading(value=", ".join(found)) if found else Reading(reason="the system has no cpufreq")

    def _mhz(self) -> Reading:
        khz = [_number(path) for path in self._cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")]
        mhz = [value / 1000.0 for value in khz if value is not None]
        if not mhz:
            lines = _text(self._proc / "cpuinfo").splitlines()
            mhz = [float(line.split(":", 1)[1]) for line in lines if line.startswith("cpu MHz")]
        if not mhz:
            return Reading(reason="neither cpufreq nor /proc/cpuinfo gives a clock")
        return Reading(value=round(sum(mhz) / len(mhz), 1))

    def _celsius(self) -> Reading:
        found = [
            _number(zone / "temp")
            for zone in self._thermal.glob("thermal_zone*")
            if any(name in _text(zone / "type").lower() for name in _PROCESSOR_ZONES)
        ]
        found += [
            _number(value)
            for chip in self._hwmon.glob("hwmon*")
            if _text(chip / "name") in _PROCESSOR_SENSORS
            for value in chip.glob("temp*_input")
        ]
        degrees = [value / 1000.0 for value in found if value is not None]
        return Reading(value=max(degrees)) if degrees else Reading(reason="no temperature sensor of the processor")

    def _throttles(self) -> Reading:
        counts = [_number(path) for path in self._cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
        known = [count for count in counts if count is not None]
        return Reading(value=sum(known)) if known else Reading(reason="the processor's driver counts no throttling")

    def _busy(self) -> Reading:
        """All but idle and waiting for disks; also what a host takes away (steal). Linux, `man 5 proc`."""
        first = _text(self._proc / "stat").partition("\n")[0].split()
        if len(first) < 9 or first[0] != "cpu":
            return Reading(reason="no /proc/stat")
        user, nice, system, _, _, irq, softirq, steal = (float(ticks) for ticks in first[1:9])
        return Reading(value=(user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"))

    def _load(self) -> Reading:
        text = _text(self._proc / "loadavg").split()
        return Reading(value=float(text[0])) if text else Reading(reason="no /proc/loadavg")


def describe_machine(root: Path = Path("/")) -> Machine:
    """Return what does not change during a run; no name of the machine or of its user."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Machine(
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        usable_cores=usable or 1,
        cpu_quota=_quota(root),
        architecture=platform.machine(),
        system=platform.system(),
        gpus=tuple(f"{gpu.name} ({gpu.capability})" for gpu in probe_driver().gpus),
    )


def _quota(root: Path) -> Reading:
    """Cores that a container may use, by cgroup version 2, else 1."""
    limit = _text(root / "sys/fs/cgroup/cpu.max").split()
    if not limit:
        folder = root / "sys/fs/cgroup/cpu"
        limit = [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
    try:
        quota, period = float(limit[0]), float(limit[1])
    except (ValueError, IndexError):
        return Reading(reason="no limit is set")
    return Reading(value=quota / period) if quota > 0.0 and period > 0.0 else Reading(reason="no limit is set")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None
