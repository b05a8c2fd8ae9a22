"""Is C++ end to end as fast as Python?

Each shipped bundle on one image from memory, through the C interface and through Python, in turns in one process and
with the same ONNX Runtime library; then the resident memory of a program of either kind, and the size of the library.

    python -m benchmarks.cpp_pipeline [--rounds 7] [--threads N]
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fundusrt
from benchmarks.record import save
from fundusrt.bundle import shipped_bundles
from fundusrt.commands.demo import sample_path
from fundusrt.image import read_image
from tests.cpp.c_library import CLibrary
from tests.cpp.cpp_build import build

_PYTHON = """
import fundusrt, sys
from fundusrt.bundle import Bundle
with fundusrt.load(sys.argv[1]) as pipeline:
    pipeline(Bundle.open(sys.argv[1]).read_image("golden/input.png"))
print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    folder = build("tests", "-DCMAKE_BUILD_TYPE=Release", "-DFUNDUSRT_TESTS=ON")
    library = CLibrary(folder / "libfundusrt_c.so")
    bundles: dict[str, Any] = {}
    for name, path in shipped_bundles().items():
        pixels = (
            read_image(sample_path()).pixels
            if name == "leakage"
            else fundusrt.Bundle.open(path).read_image("golden/input.png")
        )
        bundles[name] = {
            **_compare(library, name, path, np.ascontiguousarray(pixels), options),
            **_memory(folder, name, path),
        }
        found = bundles[name]
        print(
            f"{name:8} C++ {found['cpp_median_ms']:8.1f} ms, Python {found['python_median_ms']:8.1f} ms, "
            f"ratio {found['ratio_median']:.3f} ({found['ratio_range'][0]:.3f} to {found['ratio_range'][1]:.3f}), "
            f"of processor time {found['processor_ratio']:.3f}; "
            f"peak resident {found['cpp_peak_mib']:.0f} and {found['python_peak_mib']:.0f} MiB"
        )
    binary = folder / "libfundusrt_c.so"
    stripped = folder / "stripped.so"
    subprocess.run(["strip", "-o", stripped, binary], check=True)
    figures = {
        "question": "C++ over Python, end to end from pixels in memory, in turns in one process",
        "rounds": options.rounds,
        "threads": options.threads,
        "bundles": bundles,
        "library_kib": stripped.stat().st_size / 1024,
    }
    print(f"libfundusrt_c.so, stripped: {figures['library_kib']:.0f} KiB")
    print(f"written to {save('cpp_pipeline', figures)}")


def _compare(library: CLibrary, name: str, path: Path, pixels: np.ndarray, options: Any) -> dict[str, Any]:
    bundle = library.open_bundle(path)
    handle = library.create(bundle, threads=options.threads or 0)
    stages: list[dict[str, float]] = []

    def cpp() -> None:
        result = library.run(handle, pixels)
        stages.append(library.timings(result))
        library.raw.frt_result_free(result)

    with fundusrt.load(name, threads=options.threads) as pipeline:

        def python() -> None:
            pipeline(pixels)

        cpp()
        python()
        stages.clear()
        times: dict[Callable[[], None], list[float]] = {cpp: [], python: []}
        spent: dict[Callable[[], None], list[float]] = {cpp: [], python: []}  # by the processor, whatever else it did
        for turn in range(options.rounds):
            for run in (cpp, python) if turn % 2 else (python, cpp):
                start, work = time.perf_counter(), time.process_time()
                run()
                times[run].append(1000.0 * (time.perf_counter() - start))
                spent[run].append(1000.0 * (time.process_time() - work))
    library.raw.frt_pipeline_destroy(handle)
    library.raw.frt_bundle_close(bundle)
    ratios = [a / b for a, b in zip(times[cpp], times[python], strict=True)]
    return {
        "image_px": list(pixels.shape[:2]),
        "cpp_ms": times[cpp],
        "python_ms": times[python],
        "cpp_median_ms": statistics.median(times[cpp]),
        "python_median_ms": statistics.median(times[python]),
        "cpp_processor_ms": spent[cpp],
        "python_processor_ms": spent[python],
        "processor_ratio": statistics.median(spent[cpp]) / statistics.median(spent[python]),
        "ratio_median": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "cpp_stage_median_ms": {stage: statistics.median(each[stage] for each in stages) for stage in stages[0]},
    }


def _memory(folder: Path, name: str, path: Path) -> dict[str, float]:
    """Return the peak resident memory, MiB, of a program that runs the golden image once."""
    golden = path / "golden" / "input.png"
    shell = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", shell]
    cpp = _printed([*command, folder / "examples" / "segment_file", path, golden, folder / "out.png"])
    python = _printed([sys.executable, "-c", _PYTHON, name])
    return {"cpp_peak_mib": int(cpp.split()[-1]) / 1024, "python_peak_mib": int(re.findall(r"\d+", python)[-1]) / 1024}


def _printed(command: list[str | Path]) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
