"""`python -m benchmarks.gpu_check`: everything that needs a GPU, without network, with a report at the end.

Exit codes: 0 every section passed or could not be run here, 1 a section failed, 2 the check could not begin.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_check.packages import provide
from benchmarks.gpu_check.report import Report, Skipped

if TYPE_CHECKING:
    from benchmarks.gpu_check.rehearsal import Sizes

RESULTS = Path(__file__).resolve().parents[1] / "results"
TOOLS = ("memcheck", "racecheck")


def main() -> None:
    """Install what is missing, run the sections in order, write the report."""
    parser = argparse.ArgumentParser(prog="gpu-check", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Folder for the report; default: benchmarks/results/<gpu>.")
    parser.add_argument("--packages", type=Path, help="Folder of wheels, or of PyCUDA's source archive.")
    parser.add_argument("--budget", type=float, default=540.0, help="Seconds for everything.")
    parser.add_argument("--rehearse", action="store_true", help="Try the check itself on a GPU that is none.")
    options = parser.parse_args()
    began = time.monotonic()

    installed = {} if options.rehearse else provide(options.packages)
    if options.rehearse:
        from benchmarks.gpu_check.rehearsal import rehearsal

        with rehearsal() as (device, sizes):
            sys.exit(check(device, sizes, Report(_folder(options.out, device), options.budget, began), installed))
    from benchmarks.gpu_check.rehearsal import FULL
    from fundusrt.cuda.driver import cuda_device
    from fundusrt.errors import FundusRTError

    try:
        device = cuda_device()
    except FundusRTError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    sys.exit(check(device, FULL, Report(_folder(options.out, device), options.budget, began), installed))


def check(device: Any, sizes: Sizes, report: Report, installed: dict[str, str]) -> int:
    """Run the sections in order and return the exit code.

    Args:
        device: the GPU.
        sizes: how much is done.
        report: takes the figures.
        installed: what was installed for the check, and how.
    """
    report.end_in_time()
    report.section("machine", lambda: _machine(device, installed))

    from benchmarks.gpu_check import masks, speed, stress
    from benchmarks.gpu_check.background import GpuTests, Sanitizer
    from fundusrt.bundle import Bundle

    beside: list[tuple[str, GpuTests | Sanitizer]] = []
    if limit_s := sizes.background_s:
        beside = [("tests", GpuTests(limit_s)), *((tool, Sanitizer(tool, limit_s)) for tool in TOOLS)]
    found: dict[str, Any] = {}

    def networks() -> dict[str, Any]:
        chosen = sizes.networks or _choose()
        found["networks"] = chosen(device, Bundle.open(sizes.model))
        return {"used": found["networks"].used, "not used": found["networks"].refused}

    def needs_networks(work: Any, *arguments: Any, **named: Any) -> Any:
        def run() -> dict[str, Any]:
            if "networks" not in found:
                raise Skipped("nothing runs networks here")
            return work(device, found["networks"], *arguments, **named)

        return run

    report.section("networks", networks)
    eye = sizes.eye()
    report.section("masks", needs_networks(masks.masks_agree, sizes.model, eye, sizes.batches[0]))
    report.section("golden vectors", needs_networks(masks.golden_rungs, sizes.golden, sizes.batches[0]))
    for name, program in beside:
        report.section(name, program.figures)
    # From here on nothing else runs on the GPU: what follows is timed.
    speeds = {"rounds": sizes.rounds, "copy_bytes": sizes.copy_bytes}
    report.section("kernels", lambda: speed.copy_and_kernels(device, sizes.model, eye, **speeds))
    report.section(
        "end to end", needs_networks(speed.end_to_end, sizes.model, eye, batches=sizes.batches, rounds=sizes.rounds)
    )
    report.section("threads", needs_networks(stress.threads_agree, sizes.model, eye, **sizes.stress))
    report.section("memory", lambda: _memory(found))
    report.write()
    print((report.folder / "gpu_check.md").read_text(encoding="utf-8"))
    print(f"targets missed: {'; '.join(report.missed) or 'none of those measured'}")
    print(f"failed: {', '.join(report.failed) or 'nothing'}; report in {report.folder}", flush=True)
    return 1 if report.failed else 0


def _folder(out: Path | None, device: Any) -> Path:
    return out or RESULTS / re.sub(r"[^a-z0-9]+", "-", device.gpu.name.lower()).strip("-")


def _choose() -> Any:
    from benchmarks.gpu_check.networks import choose

    return choose


def _machine(device: Any, installed: dict[str, str]) -> dict[str, Any]:
    from importlib import metadata

    from fundusrt.machine import cpu_name

    versions: dict[str, str] = {}
    names = ("fundusrt", "numpy", "opencv-python-headless", "pycuda", "torch", "onnx", "onnxruntime", "onnxruntime-gpu")
    for name in (*names, "tensorrt", "tensorrt-rtx-cu13"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    with device.current():
        free, total = device.free_memory()
    program = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    nvcc = _output([program, "--version"])
    query = "--query-gpu=driver_version,clocks.max.sm,clocks.max.mem,power.limit"
    return {
        "gpu": device.gpu.name,
        "compute capability": device.gpu.capability,
        "memory MiB": f"{total / 2**20:.0f}, free {free / 2**20:.0f}",
        "driver, clocks, power": _output(["nvidia-smi", query, "--format=csv,noheader"]) or "nvidia-smi is absent",
        "nvcc": (re.findall(r"release ([\d.]+)", nvcc) or ["absent"])[0],
        "cpu": f"{cpu_name()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": versions,
        "installed for the check": installed or "nothing",
    }


def _memory(found: dict[str, Any]) -> dict[str, Any]:
    """Most device memory of this process: what PyTorch counted, and what the driver says now."""
    figures: dict[str, Any] = {}
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            figures["torch, most allocated MiB"] = torch.cuda.max_memory_allocated() / 2**20
            figures["torch, most reserved MiB"] = torch.cuda.max_memory_reserved() / 2**20
    text = _output(["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader"])
    figures["nvidia-smi, processes"] = text or "nvidia-smi says nothing"
    return figures


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


if __name__ == "__main__":
    main()
