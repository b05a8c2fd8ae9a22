"""Build the fat binary of the kernels, `python -m fundusrt.kernels.build`; needs nvcc, which users do not.

The same call measures what the compiler made of each kernel, so that one that spills registers is never shipped.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from fundusrt.atomic import write_bytes, write_json
from fundusrt.errors import BackendUnavailable, FundusRTError
from fundusrt.kernels.module import FatBinaryRecord, fat_binary_path, source_sha256

__all__ = ["FLAGS", "KernelUsage", "build", "compile_kernels", "find_nvcc", "nvcc_version", "targets_of"]

SHIPPED = (75, 80, 87, 90, 100, 110, 120)
"""Machine code for these; GPUs of the same major version run it too, but for Tegra's (8.7, 11.0). All others, and
newer ones, compile from the PTX once."""

PTX = 75

FLAGS = ("-std=c++17", "-O3", "-fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true")
"""Without fused multiplication and addition, but for those the sources write: else masks would not be identical."""

_FOLDER = Path(__file__).parent
_ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)\w*'")
_MEMORY = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")


@dataclass(frozen=True, slots=True)
class KernelUsage:
    """What the compiler made of one kernel for one target.

    Attributes:
        kernel: name.
        target: compute capability, 90 for `sm_90`.
        registers: of a thread.
        stack_bytes: local memory of a thread, arrays that did not fit into registers among it.
        spill_bytes: stores and loads of registers that did not fit.
    """

    kernel: str
    target: int
    registers: int
    stack_bytes: int
    spill_bytes: int


def find_nvcc() -> Path | None:
    """Return the CUDA compiler: in CUDA_HOME, on the path or in its usual folder; None where there is none."""
    home = os.environ.get("CUDA_HOME")
    places = [Path(home) / "bin" / "nvcc"] if home else []
    found = shutil.which("nvcc")
    places += [Path(found)] if found else []
    places.append(Path("/usr/local/cuda/bin/nvcc"))
    return next((place for place in places if place.is_file()), None)


def nvcc_version(nvcc: Path) -> str:
    """Return the version of a compiler, as in "13.0.88"."""
    found = re.search(r"V(\d+\.\d+\.\d+)", _run([nvcc, "--version"]))
    return found.group(1) if found else "unknown"


def targets_of(nvcc: Path) -> tuple[int, ...]:
    """Return every compute capability that a compiler can make machine code for."""
    return tuple(int(number) for number in re.findall(r"^sm_(\d+)$", _run([nvcc, "--list-gpu-code"]), re.MULTILINE))


def compile_kernels(nvcc: Path, targets: Iterable[int], ptx: int, output: Path) -> list[KernelUsage]:
    """Compile all kernels into one fat binary.

    Args:
        nvcc: the compiler.
        targets: compute capabilities to make machine code for.
        ptx: compute capability of the PTX to add.
        output: the file to write.

    Returns:
        What became of each kernel for each target.

    Raises:
        BackendUnavailable: the sources do not compile.
    """
    codes = [f"-gencode=arch=compute_{target},code=sm_{target}" for target in targets]
    codes.append(f"-gencode=arch=compute_{ptx},code=compute_{ptx}")
    # From the folder of the sources and without its path: the same sources give the same bytes anywhere.
    command = [nvcc, *FLAGS, "-Werror=all-warnings", "-Xptxas=-v", "-fatbin", "--compress-mode=size", "--threads=0"]
    return _usages(_run([*command, *codes, "-o", output.resolve(), "all.cu"]))


def build(nvcc: Path) -> tuple[FatBinaryRecord, list[KernelUsage]]:
    """Compile the kernels, write the fat binary and its record into the package, and return what was made.

    Raises:
        BackendUnavailable: the sources do not compile, or a kernel needs local memory.
        OutputError: the package's folder cannot be written.
    """
    version, known = nvcc_version(nvcc), targets_of(nvcc)
    targets = tuple(target for target in SHIPPED if target in known)  # an older compiler does not know the newest
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "kernels.fatbin"
        usages = compile_kernels(nvcc, targets, PTX, made)
        content = made.read_bytes()
    spilled = [usage for usage in usages if usage.stack_bytes or usage.spill_bytes]
    if spilled:
        raise BackendUnavailable(
            "CUDA kernels",
            got=", ".join(f"{usage.kernel} on sm_{usage.target}: {usage.stack_bytes} bytes" for usage in spilled),
            expected="no local memory",
            fix="lower the kernel's registers, or its launch bounds",
        )
    record = FatBinaryRecord(
        cuda=version,
        targets=targets,
        ptx=PTX,
        flags=FLAGS,
        kernels=tuple(sorted({usage.kernel for usage in usages})),
        source_sha256=source_sha256(),
        fatbin_sha256=hashlib.sha256(content).hexdigest(),
    )
    path = fat_binary_path(int(version.split(".")[0]))
    write_bytes(path, content)
    write_json(path.with_suffix(".json"), record.model_dump())
    return record, usages


@click.command()
def main() -> None:
    """Build the fat binary of the kernels into the package."""
    nvcc = find_nvcc()
    if nvcc is None:
        raise click.ClickException("nvcc is not installed: install the CUDA toolkit, or set CUDA_HOME")
    try:
        record, usages = build(nvcc)
    except FundusRTError as error:
        raise click.ClickException(str(error)) from error
    for kernel in record.kernels:
        registers = [usage.registers for usage in usages if usage.kernel == kernel]
        click.echo(f"{kernel:24} {min(registers):3} to {max(registers):3} registers")
    targets = ", ".join(f"sm_{target}" for target in record.targets)
    click.echo(f"CUDA {record.cuda}: {targets} and PTX for compute_{record.ptx}")


def _usages(log: str) -> list[KernelUsage]:
    """Read the compiler's report, in which each kernel's memory and registers follow its name."""
    usages: list[KernelUsage] = []
    for part in re.split(r"(?=ptxas info\s*: Compiling entry function)", log):
        entry, memory, registers = _ENTRY.search(part), _MEMORY.search(part), _REGISTERS.search(part)
        if entry and memory and registers:
            stack, stores, loads = (int(number) for number in memory.groups())
            usages.append(
                KernelUsage(entry.group(1), int(entry.group(2)), int(registers.group(1)), stack, stores + loads)
            )
    return usages


def _run(command: list[str | Path]) -> str:
    result = subprocess.run(
        [str(part) for part in command], cwd=_FOLDER, capture_output=True, text=True, errors="replace", check=False
    )
    if result.returncode != 0:
        raise BackendUnavailable(
            "CUDA compiler",
            got=result.stderr.strip() or f"exit code {result.returncode}",
            expected="sources that compile",
            fix="see the compiler's message",
        )
    return result.stdout + result.stderr


if __name__ == "__main__":
    main()
