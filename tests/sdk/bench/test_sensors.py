"""Sensors on a made-up file system: values where it has them, null with a reason where it has not."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from fundusrt.bench.nvidia_smi import no_gpu, read_gpu, throttle_names
from fundusrt.bench.report import Reading, Snapshot
from fundusrt.bench.sensors import Sensors, describe_machine
from fundusrt.bench.stability import judge_stability
from tests.sdk.bench.made_machine import MACHINE, SNAPSHOT
from tests.sdk.bench.made_reports import noisy_samples

FILES = {
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2000000",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "3000000",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3",
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "4",
    "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp",
    "sys/class/thermal/thermal_zone0/temp": "61000",
    "sys/class/thermal/thermal_zone1/type": "battery",
    "sys/class/thermal/thermal_zone1/temp": "90000",
    "sys/class/hwmon/hwmon0/name": "k10temp",
    "sys/class/hwmon/hwmon0/temp1_input": "64500",
    "sys/fs/cgroup/cpu.max": "150000 100000",
    "proc/loadavg": "1.25 1 1 1/1 1",
    "proc/stat": "cpu 100 200 300 9999 9999 10 20 70 0 0\n",
}


def test_what_a_machine_says(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    found = Sensors(tmp_path, lambda: no_gpu("no GPU")).snapshot("now")
    assert found.governor.value == "performance, powersave"
    assert found.cpu_mhz.value == 2500.0
    assert found.cpu_celsius.value == 64.5
    assert found.cpu_throttles.value == 7.0
    assert found.load.value == 1.25
    assert found.cpu_busy_s.value == pytest.approx(7.0, rel=0.01)  # 700 ticks of a hundredth of a second
    assert found.gpu_celsius.reason == "no GPU"
    assert describe_machine(tmp_path).cpu_quota.value == 1.5


def test_what_it_does_not_say_is_null_with_a_reason(tmp_path: Path) -> None:
    found = Sensors(tmp_path, lambda: no_gpu("no GPU")).snapshot("now")
    readings = {name: value for name, value in found if isinstance(value, Reading)}
    assert len(readings) == 10
    assert all(reading.value is None and reading.reason for reading in readings.values())
    assert describe_machine(tmp_path).cpu_quota.reason == "no limit is set"


def test_a_reading_is_a_value_or_a_reason() -> None:
    with pytest.raises(ValueError, match="either a value or the reason"):
        Reading()
    with pytest.raises(ValueError, match="either a value or the reason"):
        Reading(value=0.0, reason="why")


def smi(answers: dict[str, str]) -> Sequence[str]:
    def run(arguments: Sequence[str]) -> str:
        fields = arguments[0].removeprefix("--query-gpu=")
        if fields not in answers:
            raise subprocess.CalledProcessError(2, ["nvidia-smi"])
        return answers[fields] + "\n"

    return run  # type: ignore[return-value]


def test_a_gpu() -> None:
    fields = "driver_version,clocks.sm,temperature.gpu,power.draw"
    found = read_gpu(smi({fields: "580.1, 1980, 44, [N/A]", "clocks_throttle_reasons.active": "0x0000000000000024"}))
    assert (found.driver.value, found.mhz.value, found.celsius.value) == ("580.1", 1980.0, 44.0)
    assert found.watts.reason == "nvidia-smi gives no power.draw"
    assert found.throttle_reasons.value == "power cap, software thermal slowdown"


def test_a_gpu_that_cannot_be_asked() -> None:
    def absent(_: Sequence[str]) -> str:
        raise FileNotFoundError

    assert read_gpu(absent).mhz.reason == "nvidia-smi is not installed"
    assert read_gpu(smi({})).mhz.reason == "nvidia-smi failed: CalledProcessError"
    fields = "driver_version,clocks.sm,temperature.gpu,power.draw"
    reasons = read_gpu(smi({fields: "1, 2, 3, 4"})).throttle_reasons
    assert reasons.reason == "nvidia-smi knows no throttle reasons of this GPU"


def test_names_of_throttle_bits() -> None:
    assert throttle_names(0) == "none"
    assert throttle_names(0x1) == "idle"
    assert throttle_names(0x240) == "hardware thermal slowdown, 0x200"


def snapshot(**changes: object) -> Snapshot:
    return SNAPSHOT.model_copy(update={name: Reading(value=value) for name, value in changes.items()})  # type: ignore[arg-type]


def test_a_throttled_run_is_marked() -> None:
    samples = noisy_samples(1)
    hot = [[snapshot(cpu_throttles=1.0), snapshot(cpu_throttles=5.0)]]
    found = judge_stability(samples, hot, MACHINE)
    assert (found.verdict, found.reasons) == ("throttled", ("the processor throttled 4 times before 'begin'",))
    slow = [[snapshot(gpu_throttle_reasons="idle, power cap")]]
    assert judge_stability(samples, slow, MACHINE).reasons == ("the GPU was slowed down: power cap",)
    assert judge_stability(samples, [[snapshot(gpu_throttle_reasons="idle")]], MACHINE).verdict == "stable"


def test_others_on_the_machine_are_seen() -> None:
    before, after = snapshot(cpu_busy_s=100.0), snapshot(cpu_busy_s=114.0)
    after = after.model_copy(update={"seconds": 10.0, "own_cpu_s": 6.0})
    found = judge_stability(noisy_samples(1), [[before, after]], MACHINE)
    assert (found.verdict, found.reasons) == ("noisy", ("process 0: others used 40 % of the 2 usable cores",))
