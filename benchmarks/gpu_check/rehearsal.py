"""The sizes of the check, and the check on a GPU that is none: the tests' fake, with kernels compiled for the host."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fundusrt.image import FundusImage, from_array, read_image

__all__ = ["FULL", "Sizes", "rehearsal"]


def _sample() -> FundusImage:
    from fundusrt.commands.demo import sample_path

    return read_image(sample_path())


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes:
        model: the CMWNet bundle.
        golden: bundles whose golden vectors are measured.
        eye: makes the image.
        batches: tiles of one run.
        rounds: of each timing.
        copy_bytes: of the large copy.
        stress: arguments of `threads_agree`.
        background_s: seconds for the tests and for each tool of compute-sanitizer; 0 leaves them out.
        networks: what runs networks, or None to look for it.
    """

    model: str = "leakage"
    golden: tuple[str, ...] = ("leakage", "exudate", "enhance")
    eye: Callable[[], FundusImage] = _sample
    batches: tuple[int, ...] = (8, 16)
    rounds: int = 11
    copy_bytes: int = 2**30
    stress: dict[str, Any] = field(default_factory=dict[str, Any])
    background_s: float = 100.0
    networks: Callable[..., Any] | None = None


FULL = Sizes()


@contextmanager
def rehearsal() -> Generator[tuple[Any, Sizes]]:
    """Give a fake device and small sizes; the networks are PyTorch's on the CPU."""
    import pytest

    from benchmarks.gpu_check.networks import Networks, variant_of
    from benchmarks.gpu_check.torch_network import TorchNetwork
    from fundusrt.testing import tiny_bundle, tiny_image
    from tests.kernels.host_kernels import compile_for_host
    from tests.sdk.cuda.fake_device import fake_device, host_runner

    def opened(gpu: Any, bundle: Any, batch: int) -> dict[str, Any]:
        return {
            name: TorchNetwork(
                bundle.network_bytes(variant_of(spec.variants, "tensorrt")),
                spec,
                batch=batch if spec.role == "tile" else 1,
                device="cpu",
            )
            for name, spec in bundle.manifest.networks.items()
        }

    folder = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    model = str(tiny_bundle(folder / "tiny", tile_px=64, whole_px=64))
    pixels = np.asarray(tiny_image(157, 213), np.uint8)
    sizes = Sizes(
        model=model,
        golden=(model,),
        eye=lambda: from_array(pixels),
        batches=(2, 4),
        rounds=2,
        copy_bytes=2**20,
        stress={"threads": 4, "images": 3, "shape": (70, 90)},
        background_s=0.0,
        networks=lambda gpu, bundle: Networks("a rehearsal on the CPU", {}, opened),
    )
    with pytest.MonkeyPatch.context() as patch, fake_device(patch, host_runner(compile_for_host(folder))) as fake:
        yield fake[0], sizes
