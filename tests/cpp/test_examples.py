"""The examples print what their READMEs say, an installed library is found, tables and formatting are current."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from cpp_examples.generate_tables import FOLDER, tables
from fundusrt.bundle import shipped_bundles
from fundusrt.testing import tiny_bundle, tiny_enhancement_bundle, tiny_exudate_bundle
from tests.cpp.cpp_build import SOURCES, build, missing_tools, run

EXAMPLES = SOURCES / "examples"


@pytest.fixture(scope="module")
def examples(built: Path) -> Path:
    return built / "examples"


def expected(name: str) -> str:
    return (EXAMPLES / name / "expected.txt").read_text()


def fits(pattern: str, text: str) -> bool:
    """Whether a text is what was expected; `<n>` in it stands for any number."""
    parts = (re.escape(part) for part in pattern.strip().split("<n>"))
    return re.fullmatch(r"[-+0-9.]+".join(parts), text.strip()) is not None


def test_segment_file(examples: Path, tmp_path: Path) -> None:
    bundle = shipped_bundles()["leakage"]
    printed = run([examples / "segment_file", bundle, bundle / "golden" / "input.png", tmp_path / "mask.png"])
    assert fits(expected("01_segment_file"), printed), printed
    assert (tmp_path / "mask.png").stat().st_size > 100
    assert not list(tmp_path.glob("*.partial"))


def test_camera_loop(examples: Path) -> None:
    printed = run([examples / "camera_loop", shipped_bundles()["enhance"], "4", "2", "300", "320"])
    assert "0 answers differ" in printed, printed
    assert fits(expected("02_camera_loop").splitlines()[0], printed.splitlines()[0]), printed


def test_c_api(examples: Path) -> None:
    printed = run([examples / "c_api", shipped_bundles()["exudate"]])
    assert fits(expected("03_c_api"), printed), printed


def test_every_example_has_its_page() -> None:
    folders = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    assert [name[:2] for name in folders] == ["01", "02", "03", "04", "05"]
    for name in folders:
        assert (EXAMPLES / name / "README.md").is_file()
        assert (EXAMPLES / name / "expected.txt").is_file()


def test_an_installed_library_is_found(built: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    run(["cmake", "--install", built, "--prefix", prefix])
    cache = (built / "CMakeCache.txt").read_text()
    places = [
        f"-D{name}={value}"
        for name, value in re.findall(r"^(ONNXRUNTIME_(?:LIBRARY|INCLUDE_DIR)):\w+=(.*)$", cache, re.MULTILINE)
    ]
    folder = tmp_path / "consumer"
    run(["cmake", "-S", SOURCES / "consumer", "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}", *places])
    run(["cmake", "--build", folder])
    printed = run([folder / "from_cpp", shipped_bundles()["exudate"]])
    assert printed == "exudate on onnxruntime:CPUExecutionProvider\n"
    assert run([folder / "from_c"]) == "ok\n"


def test_only_the_c_interface_is_exported(built: Path) -> None:
    listed = run(["nm", "-D", "--defined-only", built / "libfundusrt_c.so"]).split("\n")
    names = {line.split()[-1] for line in listed if line}
    assert {name for name in names if not name.startswith("frt_")} == set()
    declared = set(re.findall(r"\b(frt_\w+)\(", (SOURCES / "include" / "fundusrt" / "fundusrt.h").read_text()))
    assert names == {name for name in declared if not name.endswith("_t")}


def test_tables_are_those_of_python() -> None:
    for name, text in tables().items():
        assert (FOLDER / name).read_text() == text, f"{name}: run `{sys.executable} cpp_examples/generate_tables.py`"


def test_formatting() -> None:
    tool = shutil.which("clang-format")
    if tool is None:
        pytest.skip("clang-format is not installed")
    sources = [path for kind in ("hpp", "cpp", "c", "h") for path in SOURCES.rglob(f"*.{kind}")]
    run([tool, "--dry-run", "--Werror", *sorted(sources)])


@pytest.fixture
def small_bundles(tmp_path: Path) -> list[Path]:
    """A bundle of each system with networks so small that sanitizers do not take long."""
    return [
        tiny_bundle(tmp_path / "cmwnet", tile_px=64, whole_px=64),
        tiny_exudate_bundle(tmp_path / "ss-maf"),
        tiny_enhancement_bundle(tmp_path / "mage-net"),
    ]


@pytest.mark.slow
def test_address_sanitizer_on_every_system(small_bundles: list[Path]) -> None:
    reason = missing_tools()
    if reason is not None:
        pytest.skip(reason)
    folder = _sanitized("address", "address,undefined")
    for bundle in small_bundles:
        printed = run([folder / "tests" / "fundusrt_stress", bundle, "2", "6"])
        assert "0 answers differ" in printed


@pytest.mark.slow
def test_thread_sanitizer_with_eight_threads(small_bundles: list[Path]) -> None:
    reason = missing_tools()
    if reason is not None:
        pytest.skip(reason)
    folder = _sanitized("thread", "thread")
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []  # a random layout may lie where TSan keeps its own
    for bundle in small_bundles:
        printed = run([*fixed, folder / "tests" / "fundusrt_stress", bundle, "8", "16"])
        assert "0 answers differ" in printed


@pytest.mark.slow
def test_no_leak_over_a_thousand_frames(built: Path, small_bundles: list[Path]) -> None:
    printed = run([built / "tests" / "fundusrt_stress", small_bundles[0], "2", "1000"])
    grown = re.search(r"0 answers differ; resident memory grew by (-?\d+) KiB", printed)
    assert grown is not None, printed
    assert int(grown.group(1)) < 4096, printed


def _sanitized(name: str, sanitizers: str) -> Path:
    return build(
        name,
        "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
        f"-DFUNDUSRT_SANITIZE={sanitizers}",
        "-DFUNDUSRT_TESTS=ON",
        "-DFUNDUSRT_FUZZ=ON",
        "-DFUNDUSRT_EXAMPLES=OFF",
        targets=("fundusrt_stress", "fuzz_bundle"),
    )
