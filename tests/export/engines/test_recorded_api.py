"""The fake keeps to the recorded names, and so do builder and session: also the names that no test run reaches."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import fundusrt
import fundusrt_export.engines
from tests.export.engines.fake_tensorrt import RECORD, RELEASES, fake_tensorrt

ENGINES = Path(fundusrt_export.engines.__file__).parent
SDK = Path(fundusrt.__file__).parent
OBJECTS = {
    "trt": None,
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "tensor": "ITensor",
    "layer": "ILayer",
    "timings": "ITimingCache",
    "error": "ParserError",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "inspector": "EngineInspector",
}
RTX_OBJECTS = {"settings": "IRuntimeConfig"}
# Asked for with hasattr or only where a package targets compute capabilities (TensorRT-RTX).
ONLY_RTX = {
    "num_compute_capabilities",
    "set_compute_capability",
    "ComputeCapability",
    "CudaGraphStrategy",
    "create_runtime_config",
}
FILES = (
    "build_config",
    "build_progress",
    "build_report",
    "builder",
    "inspector",
    "onnx_parsing",
    "timing_cache",
)


def used(objects: Mapping[str, str | None] = OBJECTS) -> set[tuple[str, str]]:
    """Return (object, attribute) for each attribute of an object of the package that the sources name.

    `self._engine` counts as `engine`.
    """
    found: set[tuple[str, str]] = set()
    files = [ENGINES / f"{name}.py" for name in FILES] + [SDK / "tensorrt_log.py", SDK / "backends" / "tensorrt.py"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and (name := named(node.value)) in objects:
                found.add((name, node.attr))
    return found


def named(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return node.attr.removeprefix("_")
    return node.id if isinstance(node, ast.Name) else None


def test_the_source_is_read() -> None:
    assert {("trt", "OnnxParser"), ("config", "clear_flag"), ("parser", "parse"), ("error", "node_name")} <= used()
    assert {("runtime", "deserialize_cuda_engine"), ("inspector", "get_engine_information")} <= used()
    assert {("context", "execute_async_v3"), ("context", "set_tensor_address"), ("trt", "ILogger")} <= used()
    assert ("settings", "cuda_graph_strategy") in used(RTX_OBJECTS)
    assert len(used()) > 35


@pytest.mark.parametrize("release", RELEASES)
def test_every_name_the_builder_uses_is_in_the_bindings(release: str) -> None:
    record = RECORD[release]
    top = {*record["classes"], *record["enums"], "float32", "__name__", "__version__"}
    for name, attribute in sorted(used()):
        if attribute in ONLY_RTX:
            continue
        known = top if OBJECTS[name] is None else set(record["classes"][OBJECTS[name]])
        assert attribute in known, f"{release}: {name}.{attribute}"


def test_every_name_the_builder_uses_is_in_tensorrt_rtx() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    objects = {**OBJECTS, **RTX_OBJECTS}
    for name, attribute in sorted(used(objects)):
        owner = trt if objects[name] is None else getattr(trt, objects[name])
        assert hasattr(owner, attribute), f"{name}.{attribute}"
    assert hasattr(trt.IRuntimeCache, "serialize")
    assert hasattr(trt.IRuntimeCache, "deserialize")
    assert "WHOLE_GRAPH_CAPTURE" in trt.CudaGraphStrategy.__members__


@pytest.mark.parametrize("release", RELEASES)
def test_the_fake_has_no_name_that_the_bindings_lack(release: str) -> None:
    trt = fake_tensorrt(release)
    for name, members in RECORD[release]["classes"].items():
        public = {key for key in vars(getattr(trt, name)) if not key.startswith("_")} - {"allowed", "Severity"}
        assert public <= set(members), name


@pytest.mark.parametrize("release", RELEASES)
def test_flags_of_the_builder_exist(release: str) -> None:
    enums = RECORD[release]["enums"]
    assert {"TF32", "VERSION_COMPATIBLE", "EXCLUDE_LEAN_RUNTIME"} <= set(enums["BuilderFlag"])
    assert "DETAILED" in enums["ProfilingVerbosity"]
    assert "CONSTANT" in enums["LayerType"]
    # What the majors disagree on, and what the builder must therefore not take for granted.
    assert enums["NetworkDefinitionCreationFlag"]["STRONGLY_TYPED"] == (0 if release.startswith("v11") else 1)
    assert ("EXPLICIT_BATCH" in enums["NetworkDefinitionCreationFlag"]) == release.startswith("v10")
    assert ("FP16" in enums["BuilderFlag"]) == release.startswith("v10")


def test_unknown_attributes_raise_as_they_do_in_the_bindings() -> None:
    trt: Any = fake_tensorrt("v11.1")
    log = type("Log", (trt.ILogger,), {"log": lambda self, severity, text: None})()
    config = trt.Builder(log).create_builder_config()
    with pytest.raises(AttributeError, match="no 'int8_calibrator'"):
        config.int8_calibrator = None
    with pytest.raises(TypeError, match="ILogger"):
        trt.Builder(object())
    assert "set_compute_capability" not in dict(inspect.getmembers(config))
