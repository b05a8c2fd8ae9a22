"""The inspector's report of `fundusrt build`: where it is had, and what is said where it is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from fundusrt.bundle import Bundle
from fundusrt.engine_cache import EngineCache
from fundusrt.nvidia_driver import Driver, Gpu, probe_driver
from fundusrt.tensorrt_flavour import FLAVOURS, Flavour
from tests.export.engines.build_command import invoke_build
from tests.export.engines.fake_tensorrt import RELEASES, fake_tensorrt

HERE = Driver(None, (Gpu("NVIDIA L4", "sm89"),))
CLASSIC = ("--for", "tensorrt", "--variant", "onnxruntime")
RTX = ("--for", "tensorrt-rtx", "--variant", "onnxruntime", "--gpu", "sm89")
needs_rtx = pytest.mark.skipif(
    not any((Path(folder) / "tensorrt_rtx").is_dir() for folder in sys.path), reason="tensorrt-rtx-cu13 not installed"
)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Install the fake of a release as `tensorrt`, on a machine with a GPU, and return it."""

    def installed(release: str) -> Any:
        trt = fake_tensorrt(release)
        monkeypatch.setitem(sys.modules, "tensorrt", trt)
        monkeypatch.setattr("fundusrt.nvidia_driver.probe_driver", lambda: HERE)
        return trt

    return installed


def engines(*arguments: object, cache: Path) -> list[dict[str, Any]]:
    result = invoke_build(*arguments, "--json", cache=cache)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["engines"]


@pytest.mark.parametrize("release", RELEASES)
def test_every_engine_has_a_report(release: str, install: Callable[[str], Any], tiny: Path, tmp_path: Path) -> None:
    install(release)
    built = engines(tiny, *CLASSIC, "--batch", "1,2,4", cache=tmp_path / "engines")
    assert [each["network"] for each in built] == ["large", "small"]
    bundle = Bundle.open(tiny)
    for each in built:
        spec = bundle.manifest.networks[each["network"]]
        nodes = onnx.load_from_string(bundle.network_bytes(spec.variants[0])).graph.node
        report = each["inspector"]
        assert each["inspector_problem"] is None
        assert [(layer["name"], layer["type"]) for layer in report["layers"]] == [(n.name, n.op_type) for n in nodes]
        assert {layer["precision"] for layer in report["layers"]} == {"fp32"}
        assert report["summary"].endswith(f"; in fp32 {len(nodes)}")
        first, last = report["tensors"]
        assert (first["name"], first["mode"], first["dtype"]) == (spec.input.name, "input", "fp32")
        assert (last["name"], last["mode"], last["dtype"]) == (spec.output.name, "output", "fp32")
        low, opt, high = first["profiles"][0]
        assert f"{low[0]},{opt[0]},{high[0]}" == each["batch"]
        assert low[1:] == list(spec.input.shape[1:])
        shapes = [tensor["shape"] for layer in report["layers"] for tensor in layer["outputs"]]
        assert {shape[0] for shape in shapes} == {opt[0]}  # of the shapes the engine is tuned for


def test_a_cached_engine_has_it_too_and_the_record_does_not_hold_it(
    install: Callable[[str], Any], tiny: Path, tmp_path: Path
) -> None:
    install("v11.1")
    cache = tmp_path / "engines"
    first = engines(tiny, *CLASSIC, cache=cache)
    again = engines(tiny, *CLASSIC, cache=cache)
    assert [each["built"] for each in again] == [False, False]
    assert [each["inspector"] for each in again] == [each["inspector"] for each in first]
    for record in EngineCache(cache).records():
        assert "inspector" not in record.report
        assert first[0]["inspector"]["layers"][0]["kernel"] not in record.model_dump_json()


def test_the_report_for_people_has_a_line_a_network(install: Callable[[str], Any], tiny: Path, tmp_path: Path) -> None:
    install("v10.16")
    result = invoke_build(tiny, *CLASSIC, cache=tmp_path / "engines")
    summaries = [each["inspector"]["summary"] for each in engines(tiny, *CLASSIC, cache=tmp_path / "engines")]
    lines = [line for line in result.stdout.splitlines() if line.startswith("inspector, ")]
    assert [line.split(": ", 1)[1] for line in lines] == summaries
    assert [line.split()[1] for line in lines] == ["large", "small"]


def test_files(install: Callable[[str], Any], tiny: Path, tmp_path: Path) -> None:
    install("v11.1")
    folder = tmp_path / "new" / "reports"
    built = engines(tiny, *CLASSIC, "--inspector", folder, cache=tmp_path / "engines")
    files = [Path(each["inspector_file"]) for each in built]
    assert sorted(folder.iterdir()) == sorted(files)
    records = {record.plan_sha256: record for record in EngineCache(tmp_path / "engines").records()}
    for each, file in zip(built, files, strict=True):
        assert file.name == Path(each["plan"]).with_suffix(".json").name
        content = json.loads(file.read_text(encoding="utf-8"))
        assert content["identity"] == records[content["plan_sha256"]].identity.model_dump(mode="json")
        assert content["identity"]["network"] == each["network"]
        assert {key: content[key] for key in ("summary", "tensors", "layers")} == each["inspector"]
    printed = invoke_build(tiny, *CLASSIC, "--inspector", folder, cache=tmp_path / "engines").stdout
    assert all(str(file) in printed for file in files)


def test_host_code_of_a_version_compatible_plan_is_allowed(
    install: Callable[[str], Any], tiny: Path, tmp_path: Path
) -> None:
    install("v10.16")
    built = engines(tiny, *CLASSIC, "--version-compatible", cache=tmp_path / "engines")
    assert [each["inspector_problem"] for each in built] == [None, None]
    bare = (*CLASSIC, "--version-compatible", "--exclude-lean-runtime")
    built = engines(tiny, *bare, cache=tmp_path / "engines")
    assert all(each["inspector"] is None for each in built)
    assert all("--exclude-lean-runtime" in each["inspector_problem"] for each in built)


def no_runtime(logger: Any) -> Any:
    raise TypeError("factory function returned nullptr")


@pytest.mark.parametrize(
    ("owner", "name", "instead", "says"),
    [
        ("", "Runtime", no_runtime, "got no runtime: no reason in the log"),
        ("Runtime", "deserialize_cuda_engine", lambda self, plan: None, "got a plan that is not deserialised"),
        ("ICudaEngine", "create_execution_context", lambda self, strategy: None, "got no execution context"),
        ("IExecutionContext", "set_input_shape", lambda self, name, shape: False, "is not given the shape ("),
        ("ICudaEngine", "create_engine_inspector", lambda self: None, "got no inspector"),
        ("EngineInspector", "get_engine_information", lambda self, format: "{}", "got Layers: Field required"),
    ],
)
def test_a_report_that_is_not_had_is_named_and_the_engines_stay(
    owner: str,
    name: str,
    instead: Any,
    says: str,
    install: Callable[[str], Any],
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trt = install("v11.1")
    monkeypatch.setattr(getattr(trt, owner) if owner else trt, name, instead)
    arguments = (tiny, *CLASSIC, "--batch", "1,2,4")
    built = engines(*arguments, cache=tmp_path / "engines")
    assert all(each["inspector"] is None and says in each["inspector_problem"] for each in built)
    assert len(EngineCache(tmp_path / "engines").records()) == 2
    printed = invoke_build(*arguments, cache=tmp_path / "engines").stdout
    assert printed.count("none: the inspector of tensorrt: got ") == 2
    asked = invoke_build(*arguments, "--inspector", tmp_path / "reports", cache=tmp_path / "engines")
    assert asked.exit_code == 1
    assert says in asked.stderr
    assert "the engines are built" in asked.stderr


def test_the_reason_in_the_log_is_told(
    install: Callable[[str], Any], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = install("v10.3.0")
    load = trt.Runtime.deserialize_cuda_engine
    monkeypatch.setattr(trt.Runtime, "deserialize_cuda_engine", lambda self, plan: load(self, b"torn" + plan))
    built = engines(tiny, *CLASSIC, cache=tmp_path / "engines")
    assert all("not deserialised: Magic tag does not match" in each["inspector_problem"] for each in built)


@needs_rtx
@pytest.mark.parametrize(
    ("driver", "says"),
    [
        (Driver("not found"), "no GPU here that could load the engine (NVIDIA driver: not found)"),
        (Driver(None, (Gpu("NVIDIA T4", "sm75"),)), "the engine is for sm89, the GPU here is sm75"),
    ],
)
def test_without_the_gpu_the_reason_is_told(
    driver: Driver, says: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fundusrt.nvidia_driver.probe_driver", lambda: driver)
    cache = tmp_path / "engines"
    asked = invoke_build(tiny, *RTX, "--inspector", tmp_path / "reports", cache=cache)
    assert asked.exit_code == 3
    assert f"--inspector, engines for sm89: got {says}" in asked.stderr
    assert EngineCache(cache).records() == []  # refused before anything is built
    built = engines(tiny, *RTX, cache=cache)
    assert [(each["inspector"], each["inspector_problem"], each["inspector_file"]) for each in built] == [
        (None, says, None)
    ] * 2
    printed = invoke_build(tiny, *RTX, cache=cache).stdout
    assert f"inspector, large sm89: none: {says}" in printed
    assert f"inspector, small sm89: none: {says}" in printed


@pytest.mark.gpu
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_on_a_gpu(flavour: Flavour, tiny: Path, tmp_path: Path) -> None:
    """The real inspector, of whichever release is installed."""
    trt = pytest.importorskip(flavour.replace("-", "_"), reason=f"{flavour} is not installed")
    driver = probe_driver()
    if driver.problem is not None:
        pytest.skip(f"no GPU (NVIDIA driver: {driver.problem})")
    if flavour == "tensorrt-rtx" and driver.gpus[0].capability.upper() not in trt.ComputeCapability.__members__:
        pytest.skip(f"tensorrt-rtx does not run on {driver.gpus[0].capability}")
    folder = tmp_path / "reports"
    arguments = ("--for", flavour, "--variant", "onnxruntime", "--batch", "1,2,4", "--inspector", folder)
    built = engines(tiny, *arguments, cache=tmp_path / "engines")
    bundle = Bundle.open(tiny)
    assert len(list(folder.iterdir())) == len(built) == 2
    for each in built:
        spec = bundle.manifest.networks[each["network"]]
        tensors = {(tensor["name"], tensor["mode"], tensor["dtype"]) for tensor in each["inspector"]["tensors"]}
        assert tensors == {(spec.input.name, "input", "fp32"), (spec.output.name, "output", "fp32")}
        assert each["inspector"]["layers"]
        assert "fp32" in {layer["precision"] for layer in each["inspector"]["layers"]}
