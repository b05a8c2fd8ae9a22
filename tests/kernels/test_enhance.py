"""Contrast, gamma and field of view against `preprocess.enhance`, byte for byte, grey and colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt.image import FundusImage
from fundusrt.kernels import launches, tables
from fundusrt.manifest import ClaheSpec, PreprocessSpec
from fundusrt.preprocess import enhance, gamma_table
from tests.kernels.host_kernels import HostKernels, HostMemory, address

# Smaller than the grid of CLAHE, odd, prime, whole multiples of it, and not in one direction only.
SIDES = (1, 2, 7, 8, 16, 31, 37, 61, 64, 101)


def on_host(kernels: HostKernels, pixels: np.ndarray, fov: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    memory = HostMemory()
    made = memory.empty(pixels.shape, np.uint8)
    tiles = 0 if spec.clahe is None else spec.clahe.grid**2
    scratch = launches.EnhanceScratch(
        gamma=memory.copy(gamma_table(spec.gamma)),
        histograms=memory.copy(np.zeros(launches.histogram_bytes(spec) // 4, np.uint32)),
        luts=address(memory.empty((tiles, 256), np.uint8)) if tiles else 0,
        field=0 if fov.all() else memory.copy(tables.pack_field(fov)),
        lab=address(memory.empty(pixels.shape, np.uint8)) if pixels.ndim == 3 else 0,
        lab_tables=memory.copy(tables.lab()) if pixels.ndim == 3 else 0,
    )
    stage = launches.enhance_colour if pixels.ndim == 3 else launches.enhance_grey
    kernels.run(stage(memory.copy(pixels), address(made), *pixels.shape[:2], spec, scratch))
    memory.check()
    return made


def picture(seed: int, height: int, width: int, channels: int, contrast: int) -> np.ndarray:
    """Noise on a slope, with a black surround: long runs of one value, and histograms that are clipped."""
    random = np.random.default_rng(seed)
    shape = (height, width) if channels == 1 else (height, width, channels)
    slope = np.linspace(0, 255 - contrast, width).reshape(1, -1, *shape[2:] and [1])
    pixels = (random.integers(0, contrast, shape) + slope).astype(np.uint8)
    pixels[: height // 4] = 0
    if channels == 3:
        pixels[0, 0] = (1, 2, 3)  # never a grey image stored in colour
    return pixels


@settings(max_examples=60)
@given(
    height=st.sampled_from(SIDES),
    width=st.sampled_from(SIDES),
    channels=st.sampled_from([1, 1, 3]),
    clahe=st.sampled_from([None, (2.0, 8), (2.0, 1), (0.01, 3), (3.7, 5), (40.0, 8)]),
    gamma=st.sampled_from([1.2, 1.0, 0.5]),
    field=st.booleans(),
    contrast=st.sampled_from([1, 20, 255]),
    seed=st.integers(0, 99),
)
def test_equals_the_cpu_path_byte_for_byte(
    either_way: HostKernels, height: int, width: int, channels: int, clahe: tuple[float, int] | None, gamma: float,
    field: bool, contrast: int, seed: int,
) -> None:  # fmt: skip
    spec = PreprocessSpec(clahe=None if clahe is None else ClaheSpec(clip=clahe[0], grid=clahe[1]), gamma=gamma)
    pixels = picture(seed, height, width, channels, contrast)
    fov = np.random.default_rng(seed).random((height, width)) < (0.7 if field else 2.0)
    expected = enhance(FundusImage(pixels, fov, "test"), spec)
    np.testing.assert_array_equal(on_host(either_way, pixels, fov, spec), expected)


@pytest.mark.parametrize("size", [(1013, 1531), (768, 1024)])
def test_a_megapixel(kernels: HostKernels, size: tuple[int, int]) -> None:
    """More than one block of every grid; no multiple of the tiles, and one."""
    pixels = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, size, np.uint8), (0, 0), 5)
    fov = np.ones(size, bool)
    fov[:, :200] = False
    expected = enhance(FundusImage(pixels, fov, "test"), PreprocessSpec())
    np.testing.assert_array_equal(on_host(kernels, pixels, fov, PreprocessSpec()), expected)


def all_colours(part: int) -> np.ndarray:
    """A sixteenth of the 2^24 colours, (1024, 1024, 3)."""
    number = np.arange(part << 20, (part + 1) << 20, dtype=np.uint32).reshape(1024, 1024)
    return np.stack([number & 255, number >> 8 & 255, number >> 16], axis=-1).astype(np.uint8)


def test_every_colour_goes_to_lab_as_in_opencv(kernels: HostKernels) -> None:
    for part in range(16):
        memory = HostMemory()
        rgb = all_colours(part)
        lab = memory.empty(rgb.shape, np.uint8)
        scratch = launches.EnhanceScratch(gamma=16, lab=address(lab), lab_tables=memory.copy(tables.lab()))
        launch = launches.enhance_colour(memory.copy(rgb), 16, 1024, 1024, PreprocessSpec(), scratch)[0]
        assert launch.kernel == "frt_rgb_to_lab"
        kernels.run(launch)
        memory.check()
        np.testing.assert_array_equal(lab, cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB))


def test_every_lab_colour_comes_back_as_in_opencv(kernels: HostKernels) -> None:
    """The last kernel of the colour path alone, with tables that leave the lightness as it is."""
    unchanged = np.arange(256, dtype=np.uint8)
    for part in range(16):
        memory = HostMemory()
        lab = all_colours(part)
        rgb = memory.empty(lab.shape, np.uint8)
        scratch = launches.EnhanceScratch(
            gamma=memory.copy(unchanged), luts=memory.copy(unchanged), lab=memory.copy(lab),
            lab_tables=memory.copy(tables.lab()),
        )  # fmt: skip
        spec = PreprocessSpec(clahe=ClaheSpec(grid=1))
        last = launches.enhance_colour(16, address(rgb), 1024, 1024, spec, scratch)[-1]
        assert last.kernel == "frt_enhance_lab"
        kernels.run(last)
        memory.check()
        np.testing.assert_array_equal(rgb, cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def test_histograms_add_to_what_is_there(kernels: HostKernels) -> None:
    """Which is why they must be 0 before each image: a second run without that gives other tables."""
    memory = HostMemory()
    pixels = picture(3, 64, 64, 1, 200)
    spec = PreprocessSpec(clahe=ClaheSpec(grid=1))
    histograms, luts = memory.empty((256,), np.uint32), memory.empty((256,), np.uint8)
    histograms[...] = 0
    scratch = launches.EnhanceScratch(gamma=16, histograms=address(histograms), luts=address(luts))
    counting = launches.enhance_grey(memory.copy(pixels), 16, 64, 64, spec, scratch)[0]
    kernels.run([counting, counting])
    np.testing.assert_array_equal(histograms, 2 * np.bincount(pixels.ravel(), minlength=256))


def test_bytes_moved() -> None:
    grey = launches.enhance_grey(16, 16, 3072, 3900, PreprocessSpec(), launches.EnhanceScratch(gamma=16))
    pixels = 3072 * 3900
    assert [launch.bytes_moved for launch in grey] == [pixels + 64 * 1024, 64 * 1280, 2 * pixels]
    colour = launches.enhance_colour(16, 16, 3072, 3900, PreprocessSpec(), launches.EnhanceScratch(gamma=16, field=16))
    assert [launch.bytes_moved for launch in colour] == [
        6 * pixels, 3 * pixels + 64 * 1024, 64 * 1280, 6 * pixels + 3072 * 488,
    ]  # fmt: skip
