"""Documents of runs that never were: noise with drift, spikes and a place in memory, from a seed."""

from __future__ import annotations

import random
from typing import Any

from fundusrt.bench.report import BenchReport, Sample, Scope
from fundusrt.bench.stability import judge_stability
from fundusrt.bench.summary import stage_times, summarise
from tests.sdk.bench.made_machine import MACHINE, SNAPSHOT, UNKNOWN

IMAGES_MS = (100.0, 180.0)


def noisy_samples(
    seed: int,
    *,
    slower: float = 1.0,
    processes: int = 3,
    rounds: int = 10,
    scopes: tuple[Scope, ...] = ("end_to_end",),
) -> list[Sample]:
    """Return single-stream samples.

    Each process has a speed of its own (1 %), a drift that forgets slowly (standard deviation about 2 %), white noise
    (2 %), and every twentieth call is disturbed, by up to half of its time.
    """
    noise = random.Random(seed)
    samples: list[Sample] = []
    for process in range(processes):
        own, drift, now = noise.gauss(1.0, 0.01), noise.gauss(0.0, 0.02), 0.0
        for number in range(rounds):
            for scope in scopes:
                for image, base in enumerate(IMAGES_MS):
                    drift = 0.9 * drift + noise.gauss(0.0, 0.009)
                    spike = 1.0 + (noise.uniform(0.1, 0.5) if noise.random() < 0.05 else 0.0)
                    ms = base * slower * own * (1.0 + drift) * noise.gauss(1.0, 0.02) * spike
                    samples.append(
                        Sample(
                            process=process,
                            round=number,
                            scope=scope,
                            scenario="single_stream",
                            image=image,
                            images=1,
                            start_ms=now,
                            wall_ms=ms,
                            cpu_ms=ms,
                            stages_ms=None if scope == "network" else {"decode": 0.2 * ms, "network_small": 0.8 * ms},
                        )
                    )
                    now += ms
    return samples


def made_report(samples: list[Sample], **changes: Any) -> BenchReport:
    """Return the document of these samples; `changes` replace whole parts, as plain values."""
    last = samples[-1]
    content: dict[str, Any] = {
        "created": "2025-01-01T00:00:00+00:00",
        "fundusrt": "0",
        "bundle": {"name": "tiny", "version": "1", "sha256": "a" * 64, "system": "cmwnet"},
        "runtime": {
            "backend": "onnxruntime",
            "provider": "onnxruntime:CPUExecutionProvider",
            "device": "cpu",
            "precision": "fp32",
            "threads": None,
            "batch": None,
            "tuned": None,
        },
        "images": [
            {"name": f"{index}.png", "sha256": str(index) * 64, "height": 64, "width": 64}
            for index in range(len(IMAGES_MS))
        ],
        "protocol": {
            "processes": last.process + 1,
            "rounds": [last.round + 1] * (last.process + 1),
            "warm_up": 1,
            "workers": 2,
            "seconds": None,
            "clock": "made up",
            "sync": "made up",
        },
        "environment": {
            "machine": MACHINE,
            "driver": UNKNOWN,
            "versions": {"python": "3"},
            "peak_memory_mib": {"value": 100.0},
            "snapshots": [SNAPSHOT],
        },
        "cold_start": [
            {
                "process": 0,
                "imported_ms": 1.0,
                "loaded_ms": 2.0,
                "first_network_ms": {"large": 3.0, "small": 4.0},
                "first_tile_ms": {"value": 4.0},
                "first_result_ms": 5.0,
                "cpu_ms": {},
            }
        ],
        "correctness": {"holds": True, "checks": []},
        "stability": judge_stability(samples, [], MACHINE),
        "latency": summarise(samples),
        "stages": stage_times(samples, "cmwnet", "cpu"),
        "samples": samples,
        **changes,
    }
    return BenchReport.model_validate(content)
