"""The classic `tensorrt` package, recorded; the builder's side is here, the runtime's in `fake_runtime.py`.
`recorded_api.json` has the names that each release's bindings define, and an attribute that is not among them raises
as it would there. Calls in a wrong order raise too.

A plan of the fake is `ftrt` and a JSON document of everything that was configured, with the network's layers.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx

from tests.export.engines.fake_runtime import add_runtime, engine_layers, shape_of

RECORD = json.loads((Path(__file__).parent / "recorded_api.json").read_text(encoding="utf-8"))["releases"]
RELEASES = tuple(RECORD)
UNSUPPORTED = {"DeformConv", "MaxUnpool"}


def fake_tensorrt(release: str) -> Any:
    """Return a module as `import tensorrt` would give it: fresh enumerations, fresh classes, nothing shared."""
    record = RECORD[release]
    trt = SimpleNamespace(__name__=f"tensorrt_{release}", __version__=release.removeprefix("v"), timed=[])
    for name, members in record["enums"].items():
        values = members if isinstance(members, dict) else {member: index for index, member in enumerate(members)}
        setattr(trt, name, enum.IntEnum(name, values))
    trt.float32 = trt.DataType.FLOAT

    class Strict:
        """Public attributes are those of the record, whether a class defines them here or not."""

        def __init_subclass__(cls) -> None:
            if cls.__name__ in record["classes"]:
                cls.allowed = frozenset(record["classes"][cls.__name__])
                setattr(trt, cls.__name__, cls)

        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("_") and name not in type(self).allowed:
                raise AttributeError(f"{type(self).__name__} of {release} has no {name!r}")
            object.__setattr__(self, name, value)

    class ILogger(Strict):
        Severity = trt.Severity
        log: Any

        def __init__(self) -> None:
            self._made = True

    class IProgressMonitor(Strict):
        def __init__(self) -> None:
            self._made = True

    class ITensor(Strict):
        def __init__(self, value: Any) -> None:
            kind = value.type.tensor_type
            self.name = value.name
            self.shape = tuple(shape_of(kind))
            floats = {1: trt.DataType.FLOAT, 10: trt.DataType.HALF}
            self.dtype = floats[kind.elem_type]

    class ILayer(Strict):
        def __init__(self, name: str, kind: Any) -> None:
            self.name, self.type = name, kind

    class INetworkDefinition(Strict):
        _inputs: Any
        _outputs: Any
        _layers: Any
        _parser: Any

        def __init__(self, builder: Any, flags: int) -> None:
            self._builder, self._flags = builder, flags
            self._parser: Any = None
            self._inputs: list[Any] = []
            self._outputs: list[Any] = []
            self._layers: list[Any] = []

        num_inputs = property(lambda self: len(self._inputs))
        num_outputs = property(lambda self: len(self._outputs))
        num_layers = property(lambda self: len(self._layers))

        def get_input(self, index: int) -> Any:
            return self._inputs[index]

        def get_output(self, index: int) -> Any:
            return self._outputs[index]

        def get_layer(self, index: int) -> Any:
            return self._layers[index]

    class ParserError(Strict):
        def __init__(self, index: int, node: Any, text: str) -> None:
            self._index, self._node, self._text = index, node, text

        def node(self) -> int:
            return self._index

        def node_name(self) -> str:
            return self._node.name if self._node is not None else ""

        def node_operator(self) -> str:
            return self._node.op_type if self._node is not None else ""

        def desc(self) -> str:
            return self._text

    class OnnxParser(Strict):
        def __init__(self, network: Any, logger: Any) -> None:
            require(isinstance(network, INetworkDefinition) and isinstance(logger, ILogger), "network and ILogger")
            self._network, self._errors = network, []

        num_errors = property(lambda self: len(self._errors))

        def get_error(self, index: int) -> Any:
            return self._errors[index]

        def parse(self, model: bytes) -> bool:
            network = self._network
            require(network._parser is None, "a network that nothing was parsed into")
            network._parser = weakref.ref(self)
            try:
                graph = onnx.load_from_string(model).graph
            except Exception:
                self._errors = [ParserError(0, None, "Failed to parse the ONNX model.")]
                return False
            for index, node in enumerate(graph.node):
                if node.op_type in UNSUPPORTED:
                    self._errors = [ParserError(index, node, "Plugin not found")]
                    return False
            constants = [ILayer(each.name, trt.LayerType.CONSTANT) for each in graph.initializer]
            network._layers = constants + [ILayer(node.name, trt.LayerType.ACTIVATION) for node in graph.node]
            network._inputs = [ITensor(value) for value in graph.input]
            network._outputs = [ITensor(value) for value in graph.output]
            network._hash = hashlib.sha256(model).hexdigest()
            network._described = {
                "model": base64.b64encode(model).decode(),
                "layers": engine_layers(model),
                "io": [
                    {"name": value.name, "mode": mode, "type": kind.elem_type, "shape": shape_of(kind)}
                    for mode, values in (("INPUT", graph.input), ("OUTPUT", graph.output))
                    for value in values
                    for kind in [value.type.tensor_type]
                ],
            }
            return True

    class IOptimizationProfile(Strict):
        def __init__(self) -> None:
            self._shapes: dict[str, Any] = {}

        def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
            self._shapes[input] = [list(min), list(opt), list(max)]

    class IHostMemory(Strict):
        def __init__(self, content: bytes) -> None:
            self._content = content
            self.nbytes = len(content)

        def __bytes__(self) -> bytes:
            return self._content

    class ITimingCache(Strict):
        def __init__(self, config: Any, content: bytes) -> None:
            self._config = config
            document = json.loads(content or b"{}")
            self._release = document.get("release", release)
            self._known = set(document.get("known", []))

        def combine(self, input_cache: Any, ignore_mismatch: bool) -> bool:
            self._known |= input_cache._known
            return True

        def serialize(self) -> Any:
            return IHostMemory(json.dumps({"release": release, "known": sorted(self._known)}).encode())

    class IBuilderConfig(Strict):
        def __init__(self, builder: Any) -> None:
            self._builder, self._set, self._profiles, self._timing = builder, {trt.BuilderFlag.TF32}, [], None
            self.profiling_verbosity = trt.ProfilingVerbosity.LAYER_NAMES_ONLY
            self.hardware_compatibility_level = trt.HardwareCompatibilityLevel.NONE
            self.builder_optimization_level = 3
            self.progress_monitor = None

        def set_flag(self, flag: Any) -> None:
            self._set.add(trt.BuilderFlag(flag))

        def clear_flag(self, flag: Any) -> None:
            self._set.discard(trt.BuilderFlag(flag))

        def add_optimization_profile(self, profile: Any) -> int:
            ordered = all(low <= opt <= high for low, opt, high in profile._shapes.values())
            if not profile._shapes or not ordered:
                return -1
            self._profiles.append(profile._shapes)
            return len(self._profiles) - 1

        def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
            try:
                return ITimingCache(self, serialized_timing_cache)
            except ValueError:
                return None

        def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
            require(cache._config is self, "a timing cache of this configuration")
            if cache._release != release and not ignore_mismatch:
                return False
            self._timing = cache
            return True

        def get_timing_cache(self) -> Any:
            return self._timing

    class Builder(Strict):
        def __init__(self, logger: Any) -> None:
            require(isinstance(logger, ILogger) and getattr(logger, "_made", False), "an ILogger whose base was made")
            self._logger: Any = logger

        def create_network(self, flags: int = 0) -> Any:
            return INetworkDefinition(self, flags)

        def create_builder_config(self) -> Any:
            return IBuilderConfig(self)

        def create_optimization_profile(self) -> Any:
            return IOptimizationProfile()

        def build_serialized_network(self, network: Any, config: Any) -> Any:
            require(
                network._builder is self and config._builder is self, "a network and a configuration of this builder"
            )
            require(network._parser is not None and network._parser() is not None, "a parser that holds the weights")
            free = [tensor.name for tensor in network._inputs if -1 in tensor.shape]
            if free and not all(name in profile for name in free for profile in config._profiles or [{}]):
                self._logger.log(trt.Severity.ERROR, "IBuilder: no optimization profile has been defined.")
                return None
            monitor = config.progress_monitor
            if monitor is not None:
                require(getattr(monitor, "_made", False), "a monitor whose base was made")
                printed(monitor.phase_start, "Building engine", None, 3)
                going = all(printed(monitor.step_complete, "Building engine", step) for step in range(3))
                printed(monitor.phase_finish, "Building engine")
                if not going:
                    self._logger.log(trt.Severity.ERROR, "BuildCanceled")
                    return None
            if config._timing is None or network._hash not in config._timing._known:
                trt.timed.append(network._hash)
            if config._timing is not None:
                config._timing._known.add(network._hash)
            for name, size in (("Activation", 4096), ("Weights", 128)):
                self._logger.log(trt.Severity.INFO, f"Total {name} Memory: {size} bytes")
            return IHostMemory(b"ftrt" + json.dumps(configured(network, config), sort_keys=True).encode())

    def configured(network: Any, config: Any) -> dict[str, Any]:
        flags = trt.NetworkDefinitionCreationFlag
        return {
            "network_flags": sorted(flag.name for flag in flags if network._flags >> flag.value & 1),
            "unknown_network_flags": network._flags >> len(flags),
            "builder_flags": sorted(flag.name for flag in config._set),
            "profiles": config._profiles,
            "verbosity": config.profiling_verbosity.name,
            "hardware": trt.HardwareCompatibilityLevel(config.hardware_compatibility_level).name,
            "level": config.builder_optimization_level,
            "network": network._hash,
            "release": release,
            **network._described,
        }

    add_runtime(trt, Strict, release, names_io=record["inspector_io"] == "Bindings")
    return trt


def printed(hook: Callable[..., Any], *arguments: Any) -> Any:
    """Call a monitor's hook as the bindings do: what it raises is printed, and counts as False."""
    try:
        return hook(*arguments)
    except Exception as error:
        print(f"[ERROR] Exception caught in {hook.__name__}(): {error}")
        return False


def require(holds: bool, what: str) -> None:
    """Raise as the bindings do when they are handed something else."""
    if not holds:
        raise TypeError(f"expected {what}")


def plan_of(content: bytes) -> dict[str, Any]:
    """Return what a plan of the fake was configured with."""
    assert content[:4] == b"ftrt"
    return json.loads(content[4:])
