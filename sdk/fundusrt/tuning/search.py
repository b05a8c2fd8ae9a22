"""Measures threads x batch x backend for a bundle on this machine, and chooses.

Settings take turns, round by round, each in a pipeline that is opened anew: a disturbance meets all of them, and none
keeps a good or bad place in memory. The default setting stays unless another one is faster beyond the noise
(`bench/comparison.py`); a setting whose answers are wrong is left out.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fundusrt.backends import DEVICES
from fundusrt.bench.clock import Clock, SystemClock
from fundusrt.bench.comparison import ratio_of
from fundusrt.bench.correctness import check_golden
from fundusrt.bench.sensors import describe_machine
from fundusrt.bundle import Bundle
from fundusrt.errors import BackendUnavailable
from fundusrt.golden import golden_image
from fundusrt.image import FundusImage, from_array, read_image
from fundusrt.loading import AnyPipeline, installed_versions, load
from fundusrt.manifest import CmwnetManifest
from fundusrt.systems import system_of
from fundusrt.tuning.record import Trial, TunedChoice, TuningRecord, now

__all__ = ["BATCHES", "Setting", "settings", "tune", "tuning_image"]

BATCHES = (1, 2, 4, 8)
"""Tiles of one network call that are tried, where a system has tiles."""

LEAST_GAIN = 0.03
"""A setting that is less than 3 % faster than the default is not worth a file that says otherwise."""

_TILES = (2, 4)  # rows and columns of tiles of the measured image: a batch of 8 is filled
_CPU_BACKENDS = tuple(name for name, devices in DEVICES.items() if "cpu" in devices)

Open = Callable[..., AnyPipeline]


@dataclass(frozen=True)
class Setting:
    """Backend, threads and batch; None leaves the choice to the runtime, as `load` does."""

    backend: str
    threads: int | None = None
    batch: int | None = None

    def __str__(self) -> str:
        """Return it in a few words."""
        threads = "default threads" if self.threads is None else f"{self.threads} threads"
        return f"{self.backend}, {threads}" + ("" if self.batch is None else f", batch {self.batch}")


def settings(backends: Sequence[str], cores: int, *, tiles: bool) -> list[Setting]:
    """Return what is tried: powers of two of threads up to the cores, and the cores; batches where there are tiles.

    The default setting of a backend comes first.
    """
    powers = [2**exponent for exponent in range(max(1, cores).bit_length())]
    threads: list[int | None] = [None, *sorted({*powers, max(1, cores)} - {power for power in powers if power > cores})]
    batches: list[int | None] = [None, *BATCHES[1:]] if tiles else [None]
    return [Setting(backend, count, batch) for backend in backends for count in threads for batch in batches]


def tuning_image(bundle: Bundle, sample: Path) -> FundusImage:
    """Return what is measured: the middle of the sample, 2 x 4 tiles; of a system without tiles the golden image."""
    manifest = bundle.manifest
    if not (isinstance(manifest, CmwnetManifest) and system_of(manifest).has_sample):
        return golden_image(bundle)
    pixels = read_image(sample).pixels
    height, width = (min(side, count * manifest.tile.size) for side, count in zip(pixels.shape, _TILES, strict=False))
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return from_array(pixels[top : top + height, left : left + width], source_id=f"middle of {sample.name}")


def tune(
    model: str,
    sample: Path,
    *,
    backends: Sequence[str] = (),
    precision: str = "fp32",
    rounds: int = 5,
    clock: Clock | None = None,
    opened: Open | None = None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> TuningRecord:
    """Measure and choose; nothing is stored.

    Args:
        model: shipped name, bundle folder or `.frt` file.
        sample: the shipped sample.
        backends: which; none for all that run on a CPU, of which those not installed are left out, named.
        precision: of the networks.
        rounds: how often each setting is measured.
        clock: None for the machine's.
        opened: opens a pipeline; None for `fundusrt.load`.
        progress: takes the settings measured so far, and their number in all rounds.

    Raises:
        BundleError: the bundle is refused.
        BackendUnavailable: a backend that was asked for does not run, or no setting answers rightly.
    """
    clock, opened = clock or SystemClock(), opened or load
    bundle = Bundle.open(model)
    eye = tuning_image(bundle, sample)
    machine = describe_machine()
    tiles = any(spec.role == "tile" for spec in bundle.manifest.networks.values())
    left_out: dict[str, str] = {}
    usable = _usable(opened, model, backends, precision, left_out)
    cores = math.ceil(min(machine.usable_cores, float(machine.cpu_quota.value or os.cpu_count() or 1)))
    tried = settings(usable, cores, tiles=tiles)
    logs: dict[Setting, list[float]] = {}
    for turn in range(rounds):
        for position in range(len(tried)):
            setting = tried[(position + turn) % len(tried)]
            if str(setting) not in left_out:
                options = _options(setting, precision)
                with opened(model, **options) as pipeline:
                    if turn == 0:
                        _require_right(pipeline, bundle, setting, precision, left_out)
                    logs.setdefault(setting, []).append(math.log(_milliseconds(pipeline, eye, clock)))
            progress(turn * len(tried) + position + 1, rounds * len(tried))
    right = {setting: values for setting, values in logs.items() if str(setting) not in left_out}
    choices = [choice for backend in usable if (choice := _choose(backend, right)) is not None]
    if not choices:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise BackendUnavailable(
            model, got=reasons, expected="a setting that answers rightly", fix="run `fundusrt verify` on this machine"
        )
    return TuningRecord(
        bundle=bundle.manifest.name,
        bundle_sha256=bundle.sha256,
        machine=machine,
        measured=now(),
        precision=precision,
        image_px=(eye.height, eye.width),
        versions=installed_versions(),
        choices=tuple(sorted(choices, key=lambda choice: choice.median_ms)),
        trials=tuple(
            Trial(
                backend=setting.backend,
                threads=setting.threads,
                batch=setting.batch,
                rounds_ms=tuple(math.exp(value) for value in values),
            )
            for setting, values in right.items()
        ),
        left_out=left_out,
    )


def _usable(opened: Open, model: str, asked: Sequence[str], precision: str, left_out: dict[str, str]) -> list[str]:
    """Return the backends that run here; one that was asked for by name and does not is an error."""
    found: list[str] = []
    for backend in asked or _CPU_BACKENDS:
        try:
            with opened(model, **_options(Setting(backend), precision)):
                found.append(backend)
        except BackendUnavailable as error:
            if asked:
                raise
            left_out[backend] = str(error)
    return found


def _options(setting: Setting, precision: str) -> dict[str, Any]:
    return {
        "backend": setting.backend,
        "device": "cpu",
        "precision": precision,
        "threads": setting.threads,
        "batch": setting.batch,
    }


def _require_right(
    pipeline: AnyPipeline, bundle: Bundle, setting: Setting, precision: str, left_out: dict[str, str]
) -> None:
    wrong = [check for check in check_golden(pipeline, bundle, setting.backend, precision) if not check.holds]
    if wrong:
        left_out[str(setting)] = "; ".join(f"{check.what}: {check.got}, not {check.expected}" for check in wrong)


def _milliseconds(pipeline: AnyPipeline, eye: FundusImage, clock: Clock) -> float:
    """Return the time of one image after one to warm up."""
    pipeline(eye)
    start = clock.wall_ns()
    pipeline(eye)
    return max(1e-6, (clock.wall_ns() - start) / 1e6)


def _choose(backend: str, logs: dict[Setting, list[float]]) -> TunedChoice | None:
    of = {setting: values for setting, values in logs.items() if setting.backend == backend}
    if not of:
        return None
    default = Setting(backend)
    fastest = min(of, key=lambda setting: statistics.median(of[setting]))
    ratio = 1.0
    if default in of and fastest != default:
        ratio, _, high = ratio_of({0: of[default]}, {0: of[fastest]})
        if high >= 1.0 or ratio > 1.0 / (1.0 + LEAST_GAIN):
            fastest, ratio = default, 1.0
    return TunedChoice(
        backend=backend,
        threads=fastest.threads,
        batch=fastest.batch,
        median_ms=math.exp(statistics.median(of[fastest])),
        ratio=ratio,
    )
