"""`fundusrt build`: what it builds, reports, keeps, and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fundusrt.engine_cache import EngineCache
from tests.export.engines.build_command import invoke_build

REPOSITORY = Path(__file__).resolve().parents[3]
needs_rtx = pytest.mark.skipif(
    not any((Path(folder) / "tensorrt_rtx").is_dir() for folder in sys.path), reason="tensorrt-rtx-cu13 not installed"
)
RTX = ("--for", "tensorrt-rtx", "--variant", "onnxruntime")


def test_it_is_registered() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["fundusrt.commands"]["build"] == "fundusrt_export.engines.cli:build"
    assert any("tensorrt-rtx" in line for line in project["optional-dependencies"]["dev"])


@needs_rtx
def test_every_network_for_every_gpu(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "engines"
    arguments = (tiny, *RTX, "--gpu", "sm75,sm89", "--batch", "1,2,4")
    result = invoke_build(*arguments, "--json", cache=cache)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    engines = content["engines"]
    made = [(each["network"], each["gpu"], each["batch"], each["variant"], each["built"]) for each in engines]
    assert made == [
        (network, gpu, batch, "onnxruntime", True)
        for gpu in ("sm75", "sm89")
        for network, batch in (("large", "1,1,1"), ("small", "1,2,4"))
    ]
    assert all(Path(each["plan"]).stat().st_size == each["report"]["plan_bytes"] for each in engines)
    records = {(each.identity.network, each.identity.gpu) for each in EngineCache(cache).records()}
    assert records == {(network, gpu) for network in ("large", "small") for gpu in ("sm75", "sm89")}

    again = invoke_build(*arguments, cache=cache)
    assert again.exit_code == 0
    assert again.stdout.count("cached") == 4
    assert "variant onnxruntime/fp32" in again.stdout
    Path(engines[0]["plan"]).write_bytes(b"torn")
    repaired = invoke_build(*arguments, cache=cache)
    assert repaired.stdout.count("cached") == 3
    assert "replaced:" in repaired.stdout
    assert "4 bytes instead of" in repaired.stdout
    forced = json.loads(invoke_build(*arguments, "--force", "--json", cache=cache).stdout)
    assert [each["built"] for each in forced["engines"]] == [True] * 4


@needs_rtx
def test_no_form_is_taken_that_was_not_asked_for(tiny: Path, tmp_path: Path) -> None:
    result = invoke_build(tiny, "--for", "tensorrt-rtx", "--gpu", "sm89", cache=tmp_path / "engines")
    assert result.exit_code == 3
    assert "got no variant tensorrt/fp32; expected one of onnxruntime/fp32" in result.stderr
    assert "--variant onnxruntime" in result.stderr
    result = invoke_build(tiny, *RTX, "--gpu", "sm89", "--precision", "int8", cache=tmp_path / "engines")
    assert result.exit_code == 3
    assert "got no variant onnxruntime/int8" in result.stderr


@needs_rtx
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--gpu", "sm90"), 2, "--gpu: got 'sm90'"),
        (("--gpu", "sm89", "--batch", "4,1,8"), 2, "--batch: got '4,1,8'; expected one size, or min,opt,max"),
        (("--gpu", "sm89", "--batch", "0"), 2, "--batch: got '0'"),
        (("--gpu", "sm89", "--batch", "1,2"), 2, "--batch: got '1,2'"),
        (("--gpu", "sm89", "--version-compatible"), 2, "--version-compatible: got tensorrt-rtx"),
    ],
)
def test_refusals(tiny: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = invoke_build(tiny, *RTX, *arguments, cache=tmp_path / "engines")
    assert result.exit_code == code
    assert says in result.stderr


def test_a_package_that_is_not_installed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    result = invoke_build(tiny, "--for", "tensorrt", "--json")
    assert result.exit_code == 3
    error = json.loads(result.stdout)["error"]
    assert (error["code"], error["fix"]) == ("backend-unavailable", 'pip install "fundusrt[tensorrt]"')


@needs_rtx
def test_a_cache_that_others_can_write_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines").chmod(0o777)
    result = invoke_build(tiny, *RTX, "--gpu", "sm89", cache=tmp_path / "engines")
    assert result.exit_code == 3
    assert "open to others" in result.stderr


WITHOUT = """
import sys
for name in ("torch", "onnx", "onnxruntime", "fundusrt_training", "cv2"):
    sys.modules[name] = None
from tests.export.engines.build_command import invoke_build
result = invoke_build(*sys.argv[1:])
print(result.output)
raise SystemExit(result.exit_code)
"""


def run_without_the_rest(*arguments: object) -> subprocess.Popen[str]:
    path = os.pathsep.join(str(REPOSITORY / name) for name in ("sdk", "export", "."))
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT, *(str(argument) for argument in arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


@needs_rtx
def test_eight_processes_build_each_engine_once_and_without_pytorch_or_onnx(tiny: Path, tmp_path: Path) -> None:
    """As on a device, which has the SDK and TensorRT alone, after a reboot that starts all its services."""
    arguments = (tiny, *RTX, "--gpu", "sm89", "--json", "--cache", tmp_path / "engines")
    processes = [run_without_the_rest(*arguments) for _ in range(8)]
    answers = [process.communicate(timeout=500) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, answers
    built = [[each["built"] for each in json.loads(out)["engines"]] for out, _ in answers]
    assert [sum(network) for network in zip(*built, strict=True)] == [1, 1]
    plans = {each["plan"] for out, _ in answers for each in json.loads(out)["engines"]}
    assert len(plans) == 2
