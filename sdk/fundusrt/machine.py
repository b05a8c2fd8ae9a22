"""What this machine is and can run; nothing is changed by looking."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from fundusrt.backends.gpu_providers import GPU_PROVIDERS
from fundusrt.backends.onnxruntime import import_onnxruntime
from fundusrt.engine_folder import default_engine_folder
from fundusrt.errors import BackendUnavailable
from fundusrt.nvidia_driver import probe_driver

__all__ = ["Finding", "cpu_name", "examine"]


@dataclass(frozen=True)
class Finding:
    """One thing looked for: what it is needed for, whether it is there, and how to get it."""

    what: str
    ok: bool
    detail: str
    fix: str | None = None
    needed: bool = False


def cpu_name() -> str:
    """Return the processor's model name, or its architecture where the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def examine() -> list[Finding]:
    """Return what this machine has: interpreter, processor, packages by extra, GPU driver, shipped bundles."""
    from fundusrt.bundle import shipped_bundles

    shipped = shipped_bundles()
    findings = [
        Finding("python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer", True),
        Finding("processor", True, f"{cpu_name()}, {os.cpu_count()} cores"),
        _package("numpy", "images and maps", 'pip install "fundusrt"', needed=True),
        _package("opencv-python-headless", "pre- and post-processing", 'pip install "fundusrt"', needed=True),
        _onnxruntime(),
        _one_onnxruntime(),
        _package("openvino", "backend openvino on the CPU", 'pip install "fundusrt[openvino]"'),
        _driver(),
        _package("pycuda", "device cuda", 'pip install "fundusrt[cuda]", with a C++ compiler and the CUDA toolkit'),
        _kernels(),
        _package("tensorrt", "backend tensorrt and its engines", 'pip install "fundusrt[tensorrt]"'),
        _package("tensorrt-lean", "backend tensorrt-lean", 'pip install "fundusrt[tensorrt-lean]"'),
        _package("tensorrt-rtx-cu13", "backend tensorrt-rtx and its engines", 'pip install "fundusrt[tensorrt-rtx]"'),
        _engine_folder(),
        _gpu_providers(),
        _package("torch", "training and export", 'pip install "fundusrt[train,export]"'),
        _package("onnx", "export", 'pip install "fundusrt[export]"'),
        Finding("shipped bundles", bool(shipped), ", ".join(shipped) or "none", "install the wheel again", True),
    ]
    return [replace(each, fix=None) if each.ok else each for each in findings]


def _package(name: str, purpose: str, fix: str | None = None, *, needed: bool = False) -> Finding:
    try:
        return Finding(name, True, f"{metadata.version(name)}: {purpose}", None, needed)
    except metadata.PackageNotFoundError:
        return Finding(name, False, f"not installed: {purpose}", fix, needed)


def _onnxruntime() -> Finding:
    """Either wheel brings the CPU provider."""
    cpu, gpu = (
        _package(name, "backend onnxruntime on the CPU", 'pip install "fundusrt[cpu]"', needed=True)
        for name in ("onnxruntime", "onnxruntime-gpu")
    )
    return gpu if gpu.ok and not cpu.ok else cpu


def _one_onnxruntime() -> Finding:
    """Both wheels install the same folder; together, which one answers depends on the order they were installed in."""
    found: list[str] = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        found.append(name)
    ok = len(found) < 2
    detail = "one wheel" if ok else "onnxruntime and onnxruntime-gpu overwrite each other"
    return Finding("onnxruntime wheels", ok, detail, "pip uninstall both, then install one of them", not ok)


def _engine_folder() -> Finding:
    try:
        return Finding("engine cache", True, str(default_engine_folder()))
    except BackendUnavailable as error:
        return Finding("engine cache", False, str(error.got), error.fix)


def _driver() -> Finding:
    driver = probe_driver()
    if driver.problem is not None:
        return Finding("NVIDIA driver", False, f"{driver.problem}: device cuda", "install NVIDIA's driver for the GPU")
    return Finding("NVIDIA driver", True, ", ".join(f"{gpu.name} ({gpu.capability})" for gpu in driver.gpus))


def _kernels() -> Finding:
    """The kernels that come with the package, and whether they run on the first GPU, if there is one."""
    from fundusrt.kernels.module import fat_binary, read_record

    try:
        fat_binary()
        record = read_record()
    except BackendUnavailable as error:
        return Finding("GPU kernels", False, str(error.got), error.fix)
    oldest = min(record.targets)
    detail = f"CUDA {record.cuda}, sm{oldest} to sm{max(record.targets)}"
    gpus = probe_driver().gpus
    if gpus and int(gpus[0].capability[2:]) < oldest:
        return Finding(
            "GPU kernels", False, f"{detail}; the GPU is {gpus[0].capability}", "use a newer GPU, or device cpu"
        )
    return Finding("GPU kernels", True, detail)


def _gpu_providers() -> Finding:
    """Which GPU providers the installed ONNX Runtime was built with; whether they load shows when they are used."""
    name = "ONNX Runtime on GPUs"
    fix = 'pip uninstall onnxruntime, then pip install "fundusrt[gpu]"'
    try:
        have = list(import_onnxruntime().get_available_providers())
    except BackendUnavailable as error:
        return Finding(name, False, str(error.got), fix)
    found = [provider for provider in GPU_PROVIDERS.values() if provider in have]
    if not found:
        return Finding(name, False, "no GPU provider: backend onnxruntime on cuda", fix)
    return Finding(name, True, ", ".join(found))
