"""The prebuilt kernels: one fat binary for each CUDA major version, with a record of what it was built from.

A user needs no compiler: load the bytes with the driver (`cuModuleLoadData`) and launch by name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from fundusrt.errors import BackendUnavailable
from fundusrt.manifest.parts import Frozen

__all__ = ["CUDA_MAJOR", "FatBinaryRecord", "fat_binary", "fat_binary_path", "read_record", "source_sha256"]

CUDA_MAJOR = 13
"""The newest CUDA version a fat binary is shipped for; its driver must be at least as new."""

_FOLDER = Path(__file__).parent


class FatBinaryRecord(Frozen, frozen=True):
    """What a fat binary is, kept beside it as JSON.

    Attributes:
        cuda: version of the compiler.
        targets: compute capabilities with machine code, as in `sm_90`.
        ptx: compute capability of the PTX that newer GPUs compile from.
        flags: compiler flags that decide the numbers.
        kernels: names of the entry points.
        source_sha256: of the sources, by `source_sha256`.
        fatbin_sha256: of the fat binary.
    """

    cuda: str
    targets: tuple[int, ...]
    ptx: int
    flags: tuple[str, ...]
    kernels: tuple[str, ...]
    source_sha256: str
    fatbin_sha256: str


def fat_binary_path(cuda_major: int = CUDA_MAJOR) -> Path:
    """Return where the fat binary for a CUDA major version lies."""
    return _FOLDER / f"fundusrt_cuda{cuda_major}.fatbin"


def fat_binary(cuda_major: int = CUDA_MAJOR) -> bytes:
    """Return the module to load, after checking it against its record.

    Raises:
        BackendUnavailable: there is none for this CUDA version, or it is not the recorded one.
    """
    path = fat_binary_path(cuda_major)
    record = read_record(cuda_major)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, str(error)) from error
    if hashlib.sha256(content).hexdigest() != record.fatbin_sha256:
        raise _unusable(path, "content that is not the recorded one")
    return content


def read_record(cuda_major: int = CUDA_MAJOR) -> FatBinaryRecord:
    """Return the record beside a fat binary.

    Raises:
        BackendUnavailable: there is none, or it cannot be read.
    """
    path = fat_binary_path(cuda_major).with_suffix(".json")
    try:
        return FatBinaryRecord.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError) as error:
        raise _unusable(path, str(error)) from error


def source_sha256() -> str:
    """Return one hash over the names and contents of all kernel sources."""
    digest = hashlib.sha256()
    for path in sorted(_FOLDER.glob("*.cu*")):
        digest.update(f"{path.name}\n".encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def _unusable(path: Path, got: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"CUDA kernels {path.name}",
        got=got,
        expected="the fat binary that FundusRT ships, unchanged",
        fix="install fundusrt again, or build it in a checkout with `make kernels` (needs nvcc)",
    )
