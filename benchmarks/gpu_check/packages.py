"""What the check needs and the machine lacks, from a folder of wheels; PyCUDA also from its source archive.

Only the standard library is used, and nothing is fetched.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

__all__ = ["NEEDED", "build_pycuda", "provide"]

NEEDED = ("pycuda", "pydantic", "numpy", "cv2", "filelock", "click", "rich", "tifffile", "pytest")


def provide(folder: Path | None) -> dict[str, str]:
    """Install what is missing and return how, by name; into a temporary folder that this and child processes import.

    Args:
        folder: holds wheels for this Python and, where no wheel of PyCUDA fits, its source archive.

    Raises:
        SystemExit: something is missing and not in the folder, or is not installed.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing:
        return {}
    if folder is None or not folder.is_dir():
        raise SystemExit(f"missing here: {', '.join(missing)}; name a folder of wheels with --packages")
    site = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    wheels = sorted(str(path) for path in folder.glob("*.whl"))
    fitting = [wheel for wheel in wheels if _fits(wheel)]
    if fitting:
        _pip("install", "--no-index", "--no-deps", "--no-compile", "--target", str(site), *fitting)
    _import_from(site)
    how = {Path(wheel).name.split("-")[0]: "wheel" for wheel in fitting}
    if importlib.util.find_spec("pycuda") is None:
        archives = sorted(folder.glob("pycuda-*.tar.gz"))
        if not archives:
            raise SystemExit(f"no PyCUDA here, and neither a wheel that fits nor its source archive in {folder}")
        wheel = build_pycuda(archives[-1], site)
        _pip("install", "--no-index", "--no-deps", "--no-compile", "--target", str(site), str(wheel))
        how["pycuda"] = "built from source"
    importlib.invalidate_caches()
    still = [name for name in missing if importlib.util.find_spec(name) is None]
    if still:
        raise SystemExit(f"still missing: {', '.join(still)}; put wheels of them into {folder}")
    return how


def build_pycuda(archive: Path, folder: Path) -> Path:
    """Build PyCUDA from its source archive, without cuRAND, whose header toolkits may lack; returns the wheel.

    Args:
        archive: `pycuda-*.tar.gz`.
        folder: where to work.
    """
    toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    work = folder / "pycuda-source"
    with tarfile.open(archive) as content:
        content.extractall(work, filter="data")
    (source,) = work.iterdir()
    (source / "siteconf.py").write_text(
        f"CUDA_ROOT = {str(toolkit)!r}\n"
        "CUDA_ENABLE_CURAND = False\n"
        "CUDA_ENABLE_GL = False\n"
        "CUDA_TRACE = False\n"
        "USE_SHIPPED_BOOST = True\n"
        "BOOST_INC_DIR = BOOST_LIB_DIR = BOOST_PYTHON_LIBNAME = BOOST_THREAD_LIBNAME = []\n"
        "BOOST_COMPILER = 'gcc43'\n"
        "CUDADRV_LIB_DIR = CUDART_LIB_DIR = CURAND_LIB_DIR = []\n"
        "CUDADRV_LIBNAME = ['cuda']\n"
        "CUDART_LIBNAME = CURAND_LIBNAME = []\n"
        "CXXFLAGS = LDFLAGS = []\n",
        encoding="utf-8",
    )
    link = folder / "link"
    link.mkdir()
    (link / "libcuda.so").symlink_to(_driver_library(toolkit))
    environment = {
        **os.environ,
        "PATH": f"{toolkit / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "LIBRARY_PATH": str(link),
        "MAX_JOBS": str(os.cpu_count() or 1),
        "MAKEFLAGS": f"-j{os.cpu_count() or 1}",
    }
    out = folder / "built"
    _pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", str(out), str(source), env=environment)
    return next(out.glob("pycuda-*.whl"))


def _driver_library(toolkit: Path) -> Path:
    """Return a libcuda to link with: the driver's, or the toolkit's stub."""
    named = (
        subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
        if shutil.which("ldconfig")
        else ""
    )
    for line in named.splitlines():
        if "libcuda.so" in line and "=>" in line:
            return Path(line.split("=>")[1].strip())
    folders = os.environ.get("LIBRARY_PATH", "").split(os.pathsep) + os.environ.get("LD_LIBRARY_PATH", "").split(
        os.pathsep
    )
    for folder in (*folders, "/usr/local/nvidia/lib64", str(toolkit / "lib64" / "stubs")):
        for path in glob.glob(f"{folder}/libcuda.so*") if folder else ():
            return Path(path)
    raise SystemExit("no libcuda to link PyCUDA with: neither the driver's nor the toolkit's stub")


def _fits(wheel: str) -> bool:
    tags = Path(wheel).stem.split("-")[-3:]
    interpreter = f"cp{sys.version_info.major}{sys.version_info.minor}"
    machine = sysconfig.get_platform().rpartition("-")[2]
    return ("py3" in tags[0] or interpreter in tags[0]) and (tags[2] == "any" or tags[2].endswith(machine))


def _import_from(site: Path) -> None:
    sys.path.insert(0, str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    importlib.invalidate_caches()


def _pip(*arguments: str, env: dict[str, str] | None = None) -> None:
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--no-cache-dir", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[4:])}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
