"""The fake keeps to the recorded names, and so does the builder: also the names that no test run reaches."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import fundusrt_export.engines
from tests.export.engines.fake_tensorrt import RECORD, RELEASES, fake_tensorrt

ENGINES = Path(fundusrt_export.engines.__file__).parent
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
# Asked for with hasattr or only where a package targets compute capabilities (TensorRT-RTX).
ONLY_RTX = {"num_compute_capabilities", "set_compute_capability", "ComputeCapability"}
FILES = (
    "build_config",
    "build_progress",
    "build_report",
    "builder",
    "inspector",
    "onnx_parsing",
    "timing_cache",
)


def used() -> set[tuple[str, str]]:
    """Return (object, attribute) for each attribute of an object of the package that the builder's source names."""
    found: set[tuple[str, str]] = set()
    for file in FILES:
        for node in ast.walk(ast.parse((ENGINES / f"{file}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in OBJECTS:
                found.add((node.value.id, node.attr))
    return found


def test_the_source_is_read() -> None:
    assert {("trt", "OnnxParser"), ("config", "clear_flag"), ("parser", "parse"), ("error", "node_name")} <= used()
    assert {("runtime", "deserialize_cuda_engine"), ("inspector", "get_engine_information")} <= used()
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
    for name, attribute in sorted(used()):
        owner = trt if OBJECTS[name] is None else getattr(trt, OBJECTS[name])
        assert hasattr(owner, attribute), f"{name}.{attribute}"


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
