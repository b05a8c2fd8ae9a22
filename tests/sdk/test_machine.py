"""What `doctor` looks at."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from fundusrt import machine
from fundusrt.machine import Finding, cpu_name, examine
from fundusrt.nvidia_driver import Driver, Gpu


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


def without(monkeypatch: pytest.MonkeyPatch, *absent: str, present: tuple[str, ...] = ()) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name in absent:
            raise metadata.PackageNotFoundError(name)
        return "1.0" if name in present else real(name)

    monkeypatch.setattr(machine.metadata, "version", version)


def test_every_missing_thing_has_a_fix_and_nothing_that_is_there_needs_one() -> None:
    for finding in examine():
        assert finding.what
        assert finding.detail
        assert (finding.fix is None) == finding.ok, finding


def test_this_machine_has_what_the_tests_need() -> None:
    found = by_name(examine())
    for name in ("python", "numpy", "opencv-python-headless", "onnxruntime"):
        assert found[name].ok
        assert found[name].needed
    assert cpu_name() in found["processor"].detail


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "onnxruntime", "torch")
    found = by_name(examine())
    assert found["onnxruntime"] == Finding(
        "onnxruntime",
        ok=False,
        detail="not installed: backend onnxruntime on the CPU",
        fix='pip install "fundusrt[cpu]"',
        needed=True,
    )
    assert not found["torch"].ok
    assert not found["torch"].needed
    assert found["torch"].fix == 'pip install "fundusrt[train,export]"'


def test_either_onnxruntime_wheel_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "onnxruntime", present=("onnxruntime-gpu",))
    found = by_name(examine())
    assert "onnxruntime" not in found
    assert found["onnxruntime-gpu"].ok
    assert found["onnxruntime wheels"].ok


def test_two_onnxruntime_wheels_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, present=("onnxruntime", "onnxruntime-gpu"))
    finding = by_name(examine())["onnxruntime wheels"]
    assert not finding.ok
    assert finding.needed
    assert finding.fix == "pip uninstall both, then install one of them"


def test_no_shipped_bundle_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fundusrt.bundle.shipped_bundles", dict)
    finding = by_name(examine())["shipped bundles"]
    assert (finding.ok, finding.needed, finding.detail) == (False, True, "none")


def test_the_processor_is_named_where_the_system_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert cpu_name()


@pytest.mark.parametrize(
    ("driver", "text"),
    [
        (Driver(None, (Gpu("NVIDIA L4", "sm89"),)), "NVIDIA L4 (sm89)"),
        (Driver("cuInit returned 100"), "cuInit returned 100: device cuda"),
    ],
)
def test_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch, driver: Driver, text: str) -> None:
    monkeypatch.setattr(machine, "probe_driver", lambda: driver)
    finding = by_name(examine())["NVIDIA driver"]
    assert (finding.ok, finding.detail) == (driver.problem is None, text)


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "probe_driver", lambda: Driver("not found"))
    finding = by_name(examine())["NVIDIA driver"]
    assert (finding.ok, finding.needed, finding.fix) == (False, False, "install NVIDIA's driver for the GPU")


def test_a_user_without_a_home_has_no_engine_cache(homeless: None) -> None:
    expected = Finding("engine cache", ok=False, detail="a user without a home folder", fix="set FUNDUSRT_CACHE")
    assert by_name(examine())["engine cache"] == expected


def test_the_kernels_and_the_gpu_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernels(*gpus: Gpu) -> Finding:
        monkeypatch.setattr(machine, "probe_driver", lambda: Driver(None if gpus else "not found", gpus))
        return by_name(examine())["GPU kernels"]

    assert kernels().ok
    assert kernels(Gpu("NVIDIA H200", "sm90")).ok
    old = kernels(Gpu("Tesla P100", "sm60"))
    assert not old.ok
    assert "the GPU is sm60" in old.detail
    assert old.fix == "use a newer GPU, or device cpu"


def test_damaged_kernels_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from fundusrt.kernels import module

    for path in (module.fat_binary_path(), module.fat_binary_path().with_suffix(".json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / module.fat_binary_path().name).open("ab") as stream:
        stream.write(b"!")
    monkeypatch.setattr(module, "_FOLDER", tmp_path)
    finding = by_name(examine())["GPU kernels"]
    assert not finding.ok
    assert "not the recorded one" in finding.detail


def test_gpu_providers_are_those_of_the_installed_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    assert not by_name(examine())["ONNX Runtime on GPUs"].ok
    have = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: have)
    found = by_name(examine())["ONNX Runtime on GPUs"]
    assert (found.ok, found.detail) == (True, "CUDAExecutionProvider")
