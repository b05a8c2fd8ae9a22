"""The whole image at the network's size against `preprocess.shrink_whole`, byte for byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt.kernels import launches
from fundusrt.manifest import WholeImageSpec
from fundusrt.preprocess import shrink_whole
from tests.kernels.host_kernels import HostKernels, HostMemory, address


def on_host(kernels: HostKernels, pixels: np.ndarray, spec: WholeImageSpec) -> np.ndarray:
    memory = HostMemory()
    channels = 1 if pixels.ndim == 2 else 3
    made = memory.empty((spec.size, spec.size, *pixels.shape[2:]), np.uint8)
    kernels.run(launches.shrink_whole(memory.copy(pixels), address(made), *pixels.shape[:2], channels, spec))
    memory.check()
    return made


@settings(max_examples=150)
@given(
    height=st.one_of(st.integers(1, 300), st.sampled_from([16, 32, 48, 64, 128, 320])),
    width=st.one_of(st.integers(1, 300), st.sampled_from([16, 32, 48, 64, 128, 320])),
    size=st.sampled_from([16, 17, 32, 64]),
    interpolation=st.sampled_from(["area", "area", "bilinear"]),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_equals_the_cpu_path_byte_for_byte(
    kernels: HostKernels, height: int, width: int, size: int, interpolation: Any, channels: int, seed: int
) -> None:
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    spec = WholeImageSpec(size=size, interpolation=interpolation)
    np.testing.assert_array_equal(on_host(kernels, pixels, spec), shrink_whole(pixels, spec))


@pytest.mark.parametrize("size", [(1024, 1024), (1536, 2048), (1301, 1023), (333, 2000), (512, 512), (511, 512)])
def test_at_the_shipped_size(kernels: HostKernels, size: tuple[int, int]) -> None:
    """Blocks of 2 x 2 and others, whole and partial pixels, a side enlarged, the size itself."""
    pixels = np.random.default_rng(7).integers(0, 256, size, dtype=np.uint8)
    np.testing.assert_array_equal(on_host(kernels, pixels, WholeImageSpec()), shrink_whole(pixels, WholeImageSpec()))


@pytest.mark.parametrize(
    ("size", "interpolation", "kernel"),
    [
        ((1024, 1024), "area", "frt_shrink_blocks"),
        ((1025, 1024), "area", "frt_shrink_area"),
        ((1025, 511), "area", "frt_resize_linear"),
        ((1024, 1024), "bilinear", "frt_resize_linear"),
    ],
)
def test_opencv_s_rules_choose_the_kernel(size: tuple[int, int], interpolation: Any, kernel: str) -> None:
    launch = launches.shrink_whole(16, 16, *size, 1, WholeImageSpec(interpolation=interpolation))
    assert launch.kernel == kernel
    assert launch.bytes_moved == size[0] * size[1] + 512 * 512
