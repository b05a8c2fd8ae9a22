"""The document of one benchmark run: every raw sample, what was made of them, and what they depend on.

Times are wall time in milliseconds. What a machine cannot say is null, with the reason.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "SCENARIOS",
    "SCOPES",
    "BenchImage",
    "BenchReport",
    "BundleIdentity",
    "Check",
    "ColdStart",
    "Correctness",
    "Environment",
    "Latency",
    "Machine",
    "Protocol",
    "Quantile",
    "Reading",
    "Runtime",
    "Sample",
    "Scenario",
    "Scope",
    "Snapshot",
    "Stability",
    "StageTime",
]

FORMAT = "fundusrt-bench"
FORMAT_VERSION = 1

Scope = Literal["network", "device", "end_to_end"]
Scenario = Literal["single_stream", "offline"]
SCOPES: tuple[Scope, ...] = ("network", "device", "end_to_end")
SCENARIOS: tuple[Scenario, ...] = ("single_stream", "offline")

Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """A part of the document: it cannot be changed, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reading(_Part):
    """What a sensor said; `value` is null exactly where `reason` says why."""

    value: Number | str | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _a_value_or_a_reason(self) -> Self:
        if (self.value is None) == (self.reason is None):
            raise ValueError("expected either a value or the reason why there is none")
        return self


class BundleIdentity(_Part):
    """Which bundle ran."""

    name: str
    version: str
    sha256: Sha256
    system: str


class Runtime(_Part):
    """What ran the networks.

    `provider` is what really ran, as the sessions say. `threads` and `batch` are null where the runtime's own choice
    was left; `tuned` names the tuning that chose them, null where none did.
    """

    backend: str
    provider: str
    device: str
    precision: str
    threads: int | None
    batch: int | None
    tuned: str | None


class BenchImage(_Part):
    """One of the images that took turns."""

    name: str
    sha256: Sha256
    height: int
    width: int


class Protocol(_Part):
    """How it was measured.

    Attributes:
        processes: fresh processes, one after the other.
        rounds: rounds of each process; in a round every image goes once through every scope and scenario.
        warm_up: rounds before them that were not kept.
        workers: threads that share the pipeline in the scenario `offline`.
        seconds: how long the rounds were to take in all; null where their number was given.
        clock: which clock.
        sync: when a call is over.
    """

    processes: int
    rounds: tuple[int, ...]
    warm_up: int
    workers: int
    seconds: float | None
    clock: str
    sync: str


class Machine(_Part):
    """What the figures depend on and does not change during a run."""

    cpu: str
    cores: int
    usable_cores: int
    cpu_quota: Reading
    architecture: str
    system: str
    gpus: tuple[str, ...]


class Snapshot(_Part):
    """The sensors at one moment.

    Attributes:
        at: which moment.
        seconds: since the run began.
        governor: of the processor's clock, one or several.
        cpu_mhz: mean over the cores.
        cpu_celsius: the hottest of the processor's sensors.
        cpu_throttles: how often the cores throttled since the machine started.
        cpu_busy_s: processor time of everything on the machine since it started.
        own_cpu_s: processor time of the measuring process up to now.
        load: load average of a minute.
        gpu_mhz: clock of the GPU's cores.
        gpu_celsius: its temperature.
        gpu_watts: what it draws.
        gpu_throttle_reasons: names, comma separated, `none` where there are none.
    """

    at: str
    seconds: float
    governor: Reading
    cpu_mhz: Reading
    cpu_celsius: Reading
    cpu_throttles: Reading
    cpu_busy_s: Reading
    own_cpu_s: float
    load: Reading
    gpu_mhz: Reading
    gpu_celsius: Reading
    gpu_watts: Reading
    gpu_throttle_reasons: Reading


class Environment(_Part):
    """Machine, driver, versions, and the sensors during the run."""

    machine: Machine
    driver: Reading
    versions: dict[str, str]
    peak_memory_mib: Reading
    snapshots: tuple[Snapshot, ...]


class ColdStart(_Part):
    """One fresh process, milliseconds since it was started. The files may be in the system's cache already.

    Attributes:
        process: which.
        imported_ms: Python runs and `fundusrt` is imported.
        loaded_ms: the bundle is checked and its networks are open.
        first_network_ms: the first answer of each network, by name.
        first_tile_ms: the first answer of the network that sees tiles, or of the only one.
        first_result_ms: the first image is answered.
        cpu_ms: processor time of the process up to these moments, by name.
    """

    process: int
    imported_ms: Milliseconds
    loaded_ms: Milliseconds
    first_network_ms: dict[str, Milliseconds]
    first_tile_ms: Reading
    first_result_ms: Milliseconds
    cpu_ms: dict[str, Milliseconds]


class Check(_Part):
    """One thing that had to be so for the run to count."""

    what: str
    got: str
    expected: str
    holds: bool


class Correctness(_Part):
    """Whether the pipelines that were timed answered rightly; one that did not is no fast one but a wrong one."""

    holds: bool
    checks: tuple[Check, ...]


class Sample(_Part):
    """One timed call.

    Attributes:
        process: which process.
        round: which round of it.
        scope: what was timed.
        scenario: `single_stream`: one image; `offline`: all images of the run by all workers.
        image: index of the image; null offline.
        images: images answered in this time.
        start_ms: since the first round of its process began.
        wall_ms: how long it took.
        cpu_ms: processor time of the process meanwhile, all threads.
        stages_ms: of this call; null where there are none.
    """

    process: Count
    round: Count
    scope: Scope
    scenario: Scenario
    image: Count | None
    images: Annotated[int, Field(ge=1)]
    start_ms: Milliseconds
    wall_ms: Milliseconds
    cpu_ms: Milliseconds
    stages_ms: dict[str, Number] | None


class Quantile(_Part):
    """A quantile of wall time with its 95 % interval, null with a reason where the samples do not bear one."""

    name: Literal["p50", "p90", "p95", "p99", "max"]
    ms: Milliseconds
    low_ms: Milliseconds | None = None
    high_ms: Milliseconds | None = None
    reason: str | None = None


class Latency(_Part):
    """One scope in one scenario: milliseconds of a call, and images a second."""

    scope: Scope
    scenario: Scenario
    samples: int
    quantiles: tuple[Quantile, ...]
    images_per_second: Number


class StageTime(_Part):
    """One stage end to end, single stream. `share` is that of the medians' sum; both null where it has no time."""

    stage: str
    quantiles: tuple[Quantile, ...] | None = None
    share: Number | None = None
    reason: str | None = None


class Stability(_Part):
    """Whether the machine was quiet: `throttled` if it slowed down by itself, `noisy` if others or drift were seen."""

    verdict: Literal["stable", "noisy", "throttled"]
    reasons: tuple[str, ...]
    drift: Number


class BenchReport(_Part):
    """One run of `fundusrt bench`."""

    format: Literal["fundusrt-bench"] = "fundusrt-bench"
    format_version: Literal[1] = 1
    created: str
    fundusrt: str
    bundle: BundleIdentity
    runtime: Runtime
    images: Annotated[tuple[BenchImage, ...], Field(min_length=1)]
    protocol: Protocol
    environment: Environment
    cold_start: tuple[ColdStart, ...]
    correctness: Correctness
    stability: Stability
    latency: tuple[Latency, ...]
    stages: tuple[StageTime, ...]
    samples: Annotated[tuple[Sample, ...], Field(min_length=1)]
