"""TensorRT's EngineInspector, asked where the engine can be deserialised: on a machine with the GPU it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fundusrt.engine_identity import EngineOptions
from fundusrt.nvidia_driver import Driver
from fundusrt.tensorrt_flavour import TensorRT
from fundusrt.tensorrt_log import PackageLog, collected_log
from fundusrt_export.engines.bundle_build import NetworkEngine
from fundusrt_export.engines.gpu_targets import GpuTarget
from fundusrt_export.engines.inspection import EngineInspection, EngineTensor, data_type, parse_inspection
from fundusrt_export.errors import InspectionError

__all__ = ["Inspected", "inspect_engine", "why_not_inspected"]


@dataclass(frozen=True)
class Inspected:
    """The inspector's report of one engine, or why there is none; one of the two is None."""

    inspection: EngineInspection | None
    problem: str | None


def why_not_inspected(driver: Driver, target: GpuTarget, options: EngineOptions) -> str | None:
    """Return why a plan cannot be deserialised here, None if it can: known before it is built.

    Args:
        driver: what the driver answered; engines are deserialised for the first GPU it offers.
        target: what the plan is for.
        options: build options.
    """
    if driver.problem is not None or not driver.gpus:
        return f"no GPU here that could load the engine (NVIDIA driver: {driver.problem or 'no GPU'})"
    if target.capability is not None and target.capability != driver.gpus[0].capability:
        return f"the engine is for {target.capability}, the GPU here is {driver.gpus[0].capability}"
    if options.exclude_lean_runtime:
        return "the plan was built without the runtime that it needs (--exclude-lean-runtime)"
    return None


def inspect_engine(tensorrt: TensorRT, driver: Driver, built: NetworkEngine) -> Inspected:
    """Deserialise an engine that was just built, or that the cache vouches for, and ask the inspector; nothing is run.

    Without a driver the package is not asked, since its runtime may crash then.

    Args:
        tensorrt: the package that built it.
        driver: what the driver answered.
        built: the engine; its plan is code, so it must come from the builder or the cache.
    """
    identity = built.engine.record.identity
    problem = why_not_inspected(driver, built.target, identity.options)
    if problem is not None:
        return Inspected(None, problem)
    subject = f"the inspector of {tensorrt.flavour}"
    with collected_log(tensorrt.module) as log:
        try:
            return Inspected(_inspected(tensorrt.module, log, built.engine.plan, identity.options, subject), None)
        except InspectionError as error:
            return Inspected(None, str(error))


def _inspected(trt: Any, log: PackageLog, plan: bytes, options: EngineOptions, subject: str) -> EngineInspection:
    try:
        runtime = trt.Runtime(log.logger)
    except TypeError:  # the bindings' answer to a library that hands out no runtime
        runtime = None
    if runtime is None:
        raise _failed(trt, log, subject, "no runtime")
    if options.version_compatible:
        runtime.engine_host_code_allowed = True  # of a plan that was built here
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise _failed(trt, log, subject, "a plan that is not deserialised")
    inspector = engine.create_engine_inspector()
    if inspector is None:
        raise _failed(trt, log, subject, "no inspector")
    context = _context(trt, log, engine, subject)
    if context is not None:
        inspector.execution_context = context
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    return parse_inspection(text, lambda name: _described(trt, engine, name), subject)


def _context(trt: Any, log: PackageLog, engine: Any, subject: str) -> Any:
    """Return a context with the shapes the engine is tuned for, None if no shape is free.

    Without one the inspector writes neither shapes nor data types that depend on a free dimension (NvInferRuntime.h,
    `IEngineInspector::setExecutionContext`). Nothing is run in it, so it gets no memory.
    """
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    free = [name for name in inputs if -1 in _shape(engine.get_tensor_shape(name))]
    if not free:
        return None
    context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    if context is None:
        raise _failed(trt, log, subject, "no execution context")
    for name in free:
        _, tuned, _ = engine.get_tensor_profile_shape(name, 0)
        if not context.set_input_shape(name, tuned):
            raise _failed(trt, log, subject, f"input {name} is not given the shape {_shape(tuned)}")
    return context


def _described(trt: Any, engine: Any, name: str) -> EngineTensor:
    """What the engine knows of an input or output: for the inspector of TensorRT 10, which only names them."""
    is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
    count = engine.num_optimization_profiles if is_input else 0
    profiles = [engine.get_tensor_profile_shape(name, index) for index in range(count)]
    return EngineTensor(
        name=name,
        mode="input" if is_input else "output",
        dtype=data_type(engine.get_tensor_dtype(name).name),
        shape=_shape(engine.get_tensor_shape(name)),
        profiles=tuple((_shape(low), _shape(opt), _shape(high)) for low, opt, high in profiles),
    )


def _shape(dimensions: Any) -> tuple[int, ...]:
    return tuple(int(length) for length in dimensions)


def _failed(trt: Any, log: PackageLog, subject: str, got: str) -> InspectionError:
    reasons = "; ".join(log.errors()) or "no reason in the log"
    return InspectionError(
        subject,
        got=f"{got}: {reasons}",
        expected=f"an engine that {trt.__name__} {trt.__version__} loads on this machine",
        fix="look at `fundusrt doctor`, and build the engine again with --force",
    )
