"""The fused pass against the CPU path: the same mask and the same probabilities, bit for bit."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt import BackendUnavailable, InvalidInput
from fundusrt.fusion import fuse
from fundusrt.kernels import launches, tables
from fundusrt.manifest import CgnrSpec, PostprocessSpec
from fundusrt.tiling import grid_size
from tests.kernels.bilinear_model import fused_multiply_add, upsampled
from tests.kernels.host_kernels import HostKernels, HostMemory, address

ORDERS = ("cgnr_then_fuse", "fuse_then_cgnr", "cgnr_only")
# One pixel, odd, prime, one strip of the kernel (60 columns) and its neighbours, one band of rows (32) and its own.
SIDES = (1, 2, 17, 31, 32, 33, 59, 60, 61, 67, 97, 120, 121)

Map = np.ndarray


def spec(
    order: Any = "cgnr_then_fuse", *, threshold: float = 0.5, w_large: float = 0.3, **cgnr: Any
) -> PostprocessSpec:
    return PostprocessSpec(order=order, threshold=threshold, w_large=w_large, cgnr=CgnrSpec(**cgnr))


def as_tiles(p: Map, tile: int) -> Map:
    """A map as a network answers it: (rows * columns, tile, tile)."""
    rows, columns = p.shape[0] // tile, p.shape[1] // tile
    return p.reshape(rows, tile, columns, tile).swapaxes(1, 2).reshape(-1, tile, tile)


def on_host(
    kernels: HostKernels, p_small: Map, p_large: Map, fov: Map, post: PostprocessSpec, tile: int | None
) -> tuple[Map, Map]:
    """The mask and the probability of the kernel."""
    memory = HostMemory()
    mask, probability = memory.empty(fov.shape, np.uint8), memory.empty(fov.shape, np.float32)
    small = p_small if tile is None else as_tiles(p_small, tile)
    field = 0 if fov.all() else memory.copy(tables.pack_field(fov))
    launch = launches.fuse(
        memory.copy(small), memory.copy(p_large), address(mask), *fov.shape, p_small.shape, tile, p_large.shape, post,
        field=field, probability=address(probability),
    )  # fmt: skip
    kernels.run(launch)
    memory.check()
    assert set(np.unique(mask)) <= {0, 255}
    return mask > 0, probability


def on_cpu(p_small: Map, p_large: Map, fov: Map, post: PostprocessSpec) -> tuple[Map, Map]:
    """The same by the pipeline's stages."""
    p = fuse(upsampled(p_large, *fov.shape), upsampled(p_small, *fov.shape), post) * fov
    return p >= np.float32(post.threshold), p


def maps(seed: int, small_px: tuple[int, int], large_px: tuple[int, int], steps: int) -> tuple[Map, Map]:
    """Two random maps; few steps put many values on the threshold itself."""
    random = np.random.default_rng(seed)
    made = [random.random(size, np.float32) for size in (small_px, large_px)]
    if steps:
        made = [np.round(p * steps) / np.float32(steps) for p in made]
    return made[0], made[1]


@settings(max_examples=150)
@given(
    height=st.sampled_from(SIDES),
    width=st.sampled_from(SIDES),
    tile=st.sampled_from([16, 17, 32, 48, 64]),
    rounding=st.sampled_from(["nearest", "ceil", "floor"]),
    large=st.sampled_from([16, 23, 64]),
    order=st.sampled_from(ORDERS),
    refined=st.booleans(),
    threshold=st.sampled_from([0.5, 0.4, 0.001, 0.999]),
    w_large=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    steps=st.sampled_from([0, 2, 10]),
    field=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_the_cpu_path_bit_for_bit(
    either_way: HostKernels, height: int, width: int, tile: int, rounding: Any, large: int, order: str, refined: bool,
    threshold: float, w_large: float, steps: int, field: bool, seed: int,
) -> None:  # fmt: skip
    p_small, p_large = maps(seed, grid_size(height, width, tile, rounding), (large, large), steps)
    fov = np.random.default_rng(seed).random((height, width)) < (0.8 if field else 2.0)
    post = spec(order, threshold=threshold, w_large=w_large, enabled=refined)
    mask, probability = on_host(either_way, p_small, p_large, fov, post, tile)
    expected_mask, expected = on_cpu(p_small, p_large, fov, post)
    np.testing.assert_array_equal(probability, expected)
    np.testing.assert_array_equal(mask, expected_mask)


@pytest.mark.parametrize("order", ORDERS)
def test_a_plain_map_is_one_tile(kernels: HostKernels, order: str) -> None:
    p_small, p_large = maps(1, (70, 131), (40, 24), 0)
    fov = np.ones((101, 97), bool)
    mask, probability = on_host(kernels, p_small, p_large, fov, spec(order), None)
    expected_mask, expected = on_cpu(p_small, p_large, fov, spec(order))
    np.testing.assert_array_equal(probability, expected)
    np.testing.assert_array_equal(mask, expected_mask)


@pytest.mark.parametrize("size", [(3, 70_001), (70_001, 3)])
def test_sides_whose_products_need_64_bits(kernels: HostKernels, size: tuple[int, int]) -> None:
    p_small, p_large = maps(4, grid_size(*size, 16), (300, 200), 0)
    fov = np.ones(size, bool)
    mask, probability = on_host(kernels, p_small, p_large, fov, spec(), 16)
    expected_mask, expected = on_cpu(p_small, p_large, fov, spec())
    np.testing.assert_array_equal(probability, expected)
    np.testing.assert_array_equal(mask, expected_mask)


def test_the_mask_alone_is_the_same(kernels: HostKernels) -> None:
    p_small, p_large = maps(2, (64, 128), (32, 32), 0)
    memory = HostMemory()
    mask = memory.empty((61, 121), np.uint8)
    small, large = memory.copy(as_tiles(p_small, 64)), memory.copy(p_large)
    kernels.run(launches.fuse(small, large, address(mask), 61, 121, (64, 128), 64, (32, 32), spec()))
    memory.check()
    np.testing.assert_array_equal(mask > 0, on_cpu(p_small, p_large, np.ones((61, 121), bool), spec())[0])


def test_cgnr_s_golden_example(kernels: HostKernels) -> None:
    """The 5 x 5 example of the specification, in its own size, so that nothing is interpolated."""
    base = np.array([[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], np.float32)
    guide = np.array([[1, 0, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]], np.float32)
    mask, _ = on_host(kernels, base, guide, np.ones((5, 5), bool), spec("cgnr_only"), None)
    np.testing.assert_array_equal(
        mask, [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    )


@pytest.mark.parametrize(
    "sizes", [((512, 512), (1023, 1301)), ((64, 96), (64, 50)), ((33, 65), (7, 200)), ((1024, 768), (700, 601))]
)
def test_the_model_of_up_sampling_is_opencv_s(sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    if not cv2.ipp.useIPP():
        pytest.skip("this OpenCV does not use Intel's primitives: its float32 resize rounds otherwise")
    p = np.random.default_rng(3).random(sizes[0], np.float32)
    height, width = sizes[1]
    expected = cv2.resize(p, (width, height), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(upsampled(p, height, width), expected)


def test_a_fused_multiplication_and_addition_rounds_once() -> None:
    """A product a little above half a unit in the last place of 1, by less than float64 can add to 1."""
    a, b = np.float32([2.0**-24 * (1 + 2.0**-11)]), np.float32([1 - 2.0**-11 + 2.0**-22])
    twice = np.float32(1.0 + np.float64(a[0]) * np.float64(b[0]))
    assert twice == 1.0
    np.testing.assert_array_equal(fused_multiply_add(a, b, np.ones(1, np.float32)), np.float32([1 + 2.0**-23]))


@pytest.mark.parametrize(
    ("post", "named"),
    [
        (spec(mode="raster"), "CGNR mode 'raster'"),
        (spec(mode="converge"), "CGNR mode 'converge'"),
        (PostprocessSpec(upsample_on="logit"), "up-sampling on 'logit'"),
    ],
)
def test_what_the_kernel_does_not_do_is_refused_by_name(post: PostprocessSpec, named: str) -> None:
    with pytest.raises(BackendUnavailable, match=named):
        launches.fuse(16, 16, 16, 40, 40, (64, 64), 64, (32, 32), post)


def test_a_mode_that_is_off_is_not_refused() -> None:
    launches.fuse(16, 16, 16, 40, 40, (64, 64), 64, (32, 32), spec(mode="raster", enabled=False))


def test_a_row_of_tiles_beyond_32_bits_is_refused() -> None:
    width = 2**30 // 512
    launches.fuse(16, 16, 16, 512, width, (512, width - 512), 512, (512, 512), spec())
    with pytest.raises(InvalidInput, match="1073741824 values in a row of tiles"):
        launches.fuse(16, 16, 16, 512, width, (512, width), 512, (512, 512), spec())
    launches.fuse(16, 16, 16, 512, width, (512, width), None, (512, 512), spec())


def test_bytes_moved() -> None:
    """12 megapixels, 48 tiles: each map and the field of view read once, the mask written once."""
    post = spec()
    size = (3072, 3900, (3072, 4096), 512, (512, 512), post)
    assert launches.fuse(16, 16, 16, *size).bytes_moved == 4 * (3072 * 4096 + 512 * 512) + 3072 * 3900
    full = launches.fuse(16, 16, 16, *size, field=16, probability=16)
    assert full.bytes_moved == 4 * (3072 * 4096 + 512 * 512) + 3072 * 488 + 5 * 3072 * 3900
