"""The C++ library, built with CMake once for all tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "cpp_examples"
HEADERS = ROOT / "build" / "cpp-headers"


def missing_tools() -> str | None:
    """Return why nothing can be built here; None where it can."""
    missing = [tool for tool in ("cmake", "g++") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} not installed: C++ cannot be built here"
    try:
        get_headers()
    except AssertionError as error:
        return f"C++ cannot be built here, its header files cannot be had: {str(error).strip().splitlines()[-1]}"
    return None


def get_headers() -> Path:
    """Return the folder with the header files that machines lack; fetched once."""
    HEADERS.parent.mkdir(exist_ok=True)
    with FileLock(HEADERS.with_suffix(".lock")):
        run([SOURCES / "get_headers", HEADERS])
    return HEADERS


def build(name: str, *options: str, targets: tuple[str, ...] = ()) -> Path:
    """Configure and build into `build/cpp-NAME`; returns that folder. Processes take turns."""
    headers, folder = get_headers(), ROOT / "build" / f"cpp-{name}"
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    with FileLock(folder.with_suffix(".lock")):
        run(
            [
                *("cmake", "-S", SOURCES, "-B", folder, *generator),
                f"-DFUNDUSRT_DEPENDENCIES={headers}",
                f"-DPython3_EXECUTABLE={sys.executable}",
                *options,
            ]
        )
        chosen = ["--target", *targets] if targets else []
        run(["cmake", "--build", folder, "--parallel", str(min(4, os.cpu_count() or 1)), *chosen])
    return folder


def run(command: list[str | Path], **environment: str) -> str:
    """Run to the end and return what it printed; its output is the message of a failure."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    )
    return done.stdout
