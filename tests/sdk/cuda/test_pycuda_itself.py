"""PyCUDA itself, where it is installed and no GPU is needed: over a driver library made of the host's kernels.

The fake of the other tests is written by whoever wrote what it tests. Here the real bindings push contexts, own memory,
pack arguments and refuse what they refuse; `tests/gpu` runs as it would on a GPU, but for PyTorch's part.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
KERNEL_TESTS = ROOT / "tests" / "kernels"
SOURCES = ROOT / "sdk" / "fundusrt" / "kernels"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("pycuda") is None, reason="PyCUDA is not installed"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed"),
]


def host_driver(folder: Path) -> Path:
    """Build `libcuda.so.1` in a folder and return the folder."""
    kernels = re.findall(r"(?:ALONE|TOGETHER)\((frt_\w+)\)", (KERNEL_TESTS / "host_kernels.cpp").read_text())
    (folder / "kernel_list.inc").write_text("\n".join(f"KERNEL({name})" for name in kernels) + "\n")
    defined = set(re.findall(r"^int (cu\w+)\(", (HERE / "host_driver.cpp").read_text(), re.MULTILINE))
    names: set[str] = set()
    for file in Path(str(importlib.resources.files("pycuda"))).glob("_driver*.so"):
        names |= {name.decode() for name in re.findall(rb"\0(cu[A-Z]\w+)(?=\0)", file.read_bytes())}
    # What PyCUDA links with and nothing here calls: there, and an error.
    absent = folder / "absent.c"
    absent.write_text("\n".join(f"int {name}(void) {{ return 801; }}" for name in sorted(names - defined)) + "\n")
    common = ["-O2", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing"]
    includes = [option for path in (folder, KERNEL_TESTS, SOURCES) for option in ("-I", str(path))]
    subprocess.run(["gcc", "-c", *common, str(absent), "-o", str(folder / "absent.o")], check=True)
    subprocess.run(
        ["g++", "-std=c++17", "-shared", *common, *includes, "-Wl,-soname,libcuda.so.1", str(HERE / "host_driver.cpp"),
         str(folder / "absent.o"), "-o", str(folder / "libcuda.so.1"), "-lpthread"],
        check=True,
    )  # fmt: skip
    return folder


def test_the_tests_for_a_gpu_pass_with_pycuda_on_the_host(tmp_path: Path) -> None:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(host_driver(tmp_path))}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", "tests/gpu"]
    done = subprocess.run(
        [*command, "--deselect", "tests/gpu/test_large_arrays.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    passed = re.findall(r"(\d+) passed", done.stdout)
    assert [int(number) >= 12 for number in passed] == [True], done.stdout[-1000:]
    assert "PyCUDA WARNING" not in done.stderr, done.stderr
