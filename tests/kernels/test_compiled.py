"""What nvcc makes of the kernels, for every GPU it knows: no register spilled, no array in local memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fundusrt import BackendUnavailable
from fundusrt.kernels import build
from fundusrt.kernels.build import KernelUsage
from fundusrt.kernels.module import read_record, source_sha256

# A place in an array that the compiler cannot know, so that the array has to lie in memory.
SPILLING = """
extern "C" __global__ void frt_bad(float* p, int n) {
    float kept[64] = {};
    for (int i = 0; i < n; ++i) kept[i * n & 63] += p[i];
    for (int i = 0; i < n; ++i) p[i] = kept[i * i & 63];
}
"""


@pytest.fixture(scope="module")
def nvcc() -> Path:
    found = build.find_nvcc()
    if found is None:
        pytest.skip("nvcc is not installed: kernels cannot be compiled for a GPU")
    return found


@pytest.fixture(scope="module")
def shipped(nvcc: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[KernelUsage]]:
    """The fat binary, built again, and what became of each kernel in it."""
    output = tmp_path_factory.mktemp("shipped") / "again.fatbin"
    usages = build.compile_kernels(nvcc, build.SHIPPED, build.PTX, output)
    return output.read_bytes(), usages


def test_every_kernel_stays_in_registers_on_every_gpu(
    nvcc: Path, shipped: tuple[bytes, list[KernelUsage]], tmp_path: Path
) -> None:
    every = build.targets_of(nvcc)
    assert {75, 90, 120, 121} <= set(every), "sm_75 to sm_121"
    others = [target for target in every if target not in build.SHIPPED]
    usages = shipped[1] + build.compile_kernels(nvcc, others, build.PTX, tmp_path / "others.fatbin")
    assert {usage.target for usage in usages} == set(every) | set(build.SHIPPED)
    kernels = {usage.kernel for usage in usages}
    assert kernels == set(read_record().kernels)
    assert len(usages) == len(kernels) * len(set(every) | set(build.SHIPPED))
    assert [usage for usage in usages if usage.stack_bytes or usage.spill_bytes] == []


def test_the_fused_pass_leaves_room_for_the_loads_it_needs_under_way(shipped: tuple[bytes, list[KernelUsage]]) -> None:
    """Warps of a multiprocessor times two rows of 256 bytes: 4 blocks of 8 warps at 64 registers, 3 at 80."""
    found = {usage.target: usage.registers for usage in shipped[1] if usage.kernel == "frt_fuse"}
    assert {target: count for target, count in found.items() if count > (80 if target >= 120 else 64)} == {}


def test_the_same_compiler_makes_the_same_bytes(nvcc: Path, shipped: tuple[bytes, list[KernelUsage]]) -> None:
    record = read_record()
    if build.nvcc_version(nvcc) != record.cuda:
        pytest.skip(f"the shipped fat binary was made by nvcc {record.cuda}, this is {build.nvcc_version(nvcc)}")
    assert record.source_sha256 == source_sha256(), "kernel sources changed: run `make kernels`"
    assert hashlib.sha256(shipped[0]).hexdigest() == record.fatbin_sha256


def test_a_kernel_that_spills_is_found(nvcc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "all.cu").write_text(SPILLING)
    monkeypatch.setattr(build, "_FOLDER", tmp_path)
    monkeypatch.setattr(build, "SHIPPED", (90,))
    (usage,) = build.compile_kernels(nvcc, (90,), build.PTX, tmp_path / "bad.fatbin")
    assert (usage.kernel, usage.target) == ("frt_bad", 90)
    assert usage.stack_bytes >= 256
    with pytest.raises(BackendUnavailable, match=r"frt_bad on sm_90: \d+ bytes"):
        build.build(nvcc)


def test_sources_that_do_not_compile_are_an_error(nvcc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "all.cu").write_text("not C++")
    monkeypatch.setattr(build, "_FOLDER", tmp_path)
    with pytest.raises(BackendUnavailable, match=r"all\.cu"):
        build.compile_kernels(nvcc, (90,), build.PTX, tmp_path / "none.fatbin")
