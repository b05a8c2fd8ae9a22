"""ONNX bytes to a plan: the one builder of TensorRT 10, 11 and TensorRT-RTX."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fundusrt.engine_identity import BatchRange, EngineOptions
from fundusrt.manifest import NetworkSpec
from fundusrt.sealed_file import SealedFile
from fundusrt.tensorrt_flavour import TensorRT
from fundusrt.tensorrt_log import PackageLog, collected_log
from fundusrt_export.engines.build_config import apply_options, apply_profile, apply_target, check_options
from fundusrt_export.engines.build_progress import BuildProgress, Silent, progress_monitor
from fundusrt_export.engines.build_report import EngineReport, engine_report
from fundusrt_export.engines.onnx_parsing import check_tensors, parse_onnx, typed_network
from fundusrt_export.engines.timing_cache import attach_timing_cache, store_timing_cache
from fundusrt_export.errors import BuildCancelled, EngineBuildError

__all__ = ["BuiltEngine", "build_engine"]


@dataclass(frozen=True)
class BuiltEngine:
    """A plan and what is known of it."""

    plan: bytes
    report: EngineReport


def build_engine(
    tensorrt: TensorRT,
    onnx: bytes,
    spec: NetworkSpec,
    batch: BatchRange,
    *,
    subject: str,
    options: EngineOptions | None = None,
    capability: str | None = None,
    timing_cache: SealedFile | None = None,
    progress: BuildProgress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> BuiltEngine:
    """Compile one network.

    Args:
        tensorrt: the package that compiles.
        onnx: a self-contained ONNX file; its types are the engine's types.
        spec: what the manifest says of the network.
        batch: batch sizes of the engine.
        subject: what is built, for messages.
        options: build options; None for the defaults.
        capability: compute capability (`sm89`) to compile for, where the package does that; None for the GPU there is.
        timing_cache: file of kernel timings, read and written; classic TensorRT only.
        progress: hears of the phases.
        cancelled: asked at each step whether to stop. Ctrl-C stops too.

    Raises:
        EngineBuildError: the file is not parsed, is not what the manifest says, or is not built; `got` has the log.
        BuildCancelled: told to stop.
        UsageError: an option the package does not have.

    What `progress` or `cancelled` raises ends the build and passes through. Timings that cannot be read or kept are a
    `RuntimeWarning`, and the plan is returned all the same.
    """
    options = options or EngineOptions()
    check_options(tensorrt, options)
    trt = tensorrt.module
    with collected_log(trt) as log:
        builder = trt.Builder(log.logger)
        network = typed_network(trt, builder)
        parser = parse_onnx(trt, network, onnx, log, subject)
        check_tensors(trt, network, spec, subject)
        config = builder.create_builder_config()
        apply_options(tensorrt, config, options)
        apply_target(tensorrt, config, capability, subject)
        apply_profile(builder, config, network, batch, subject)
        if timing_cache is not None:
            attach_timing_cache(config, timing_cache)
        stop = threading.Event()
        raised: list[BaseException] = []
        config.progress_monitor = progress_monitor(trt, progress or Silent(), stop, cancelled, raised)
        began = time.perf_counter()
        plan = _serialized(builder, network, config, stop)
        taken = time.perf_counter() - began
        if raised:
            raise raised[0]  # the later ones are its consequences
        if stop.is_set():
            raise BuildCancelled(subject, got="told to stop", expected="a finished build", fix="start it again")
        if plan is None:
            raise _failed(trt, log, subject)
        if timing_cache is not None:
            store_timing_cache(config, timing_cache)
        content = bytes(plan)
        report = engine_report(trt, network, log, content, taken)
        del parser  # the network's weights lay in it until now
        return BuiltEngine(content, report)


def _serialized(builder: Any, network: Any, config: Any, stop: threading.Event) -> Any:
    """Build on another thread: this one stays free to hear Ctrl-C, which a call into the library would hold up."""
    with ThreadPoolExecutor(1, thread_name_prefix="engine-build") as pool:
        building: Future[Any] | None = None
        while True:
            try:
                if building is None and not stop.is_set():
                    building = pool.submit(builder.build_serialized_network, network, config)
                return None if building is None else building.result()
            except KeyboardInterrupt:  # also within `submit`, whose build may have begun: the pool waits for its end
                stop.set()


def _failed(trt: Any, log: PackageLog, subject: str) -> EngineBuildError:
    return EngineBuildError(
        subject,
        got="; ".join(log.errors()) or "no plan, and no reason in the log",
        expected=f"a network that {trt.__name__} {trt.__version__} builds",
        fix="build another variant or precision, or report it with this log",
    )
