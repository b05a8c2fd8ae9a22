"""Sources, fat binary, host build and launches name the same kernels, with the same arguments."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from fundusrt.kernels import launches
from fundusrt.kernels.launch import Launch
from fundusrt.kernels.module import read_record
from fundusrt.manifest import ClaheSpec, PostprocessSpec, PreprocessSpec, WholeImageSpec
from fundusrt.tiling import TileGrid
from tests.kernels.host_kernels import HERE, SOURCES, HostKernels

COLOUR = launches.EnhanceScratch(gamma=16, histograms=16, luts=16, lab=16, lab_tables=16)


def every_launch() -> list[Launch]:
    """One launch of every kernel, with addresses that nobody follows."""
    plain = PreprocessSpec(clahe=None)
    sizes = ((64, 64), (60, 70), (10, 10))
    return [
        launches.reduce_16(16, 16, 100),
        launches.channels_differ(16, 100, 16),
        launches.pick_channel(16, 16, 100, 1),
        *launches.enhance_grey(16, 16, 40, 50, PreprocessSpec(), COLOUR),
        *launches.enhance_colour(16, 16, 40, 50, PreprocessSpec(), COLOUR),
        *launches.enhance_colour(16, 16, 40, 50, plain, COLOUR),
        *(launches.shrink_whole(16, 16, *size, 1, WholeImageSpec(size=16)) for size in sizes),
        launches.gather(16, 16, 40, 50, 1, (64, 64), 64, 0, 1, PreprocessSpec(), 16),
        launches.gather(16, 16, 40, 50, 1, (64, 64), 64, 0, 1, PreprocessSpec(), 16, half=True),
        launches.check_range(16, 100, 16),
        launches.stitch(16, 16, TileGrid.cover(40, 50, 16, 4)),
        launches.fuse(16, 16, 16, 40, 50, (64, 64), 64, (32, 32), PostprocessSpec()),
    ]


def test_the_same_kernels_everywhere() -> None:
    header = (SOURCES / "kernels.cuh").read_text()
    declared = sorted(re.findall(r"__global__ void (frt_\w+)\(", header))
    on_host = re.findall(r"^    (?:ALONE|TOGETHER)\((\w+)\);", (HERE / "host_kernels.cpp").read_text(), re.MULTILINE)
    assert declared == sorted(read_record().kernels)
    assert declared == sorted(on_host)
    assert declared == sorted({launch.kernel for launch in every_launch()})


def test_each_launch_fits_its_kernel_s_signature(kernels: HostKernels) -> None:
    """Arguments are compared one by one, in number, size and kind, before anything runs."""
    nothing = ((0, 0, 0), (0, 0, 0))
    for launch in every_launch():
        kernels.run(launch, nothing)
        short = replace(launch, arguments=launch.arguments[:-1])
        with pytest.raises(AssertionError, match="wrong number of arguments"):
            kernels.run(short, nothing)
        for position, value in enumerate(launch.arguments):
            other = np.float64(0) if value.dtype != np.float32 else np.int32(0)
            changed = (*launch.arguments[:position], other, *launch.arguments[position + 1 :])
            with pytest.raises(AssertionError, match=f"argument {position} has another size or kind"):
                kernels.run(replace(launch, arguments=changed), nothing)


def test_kernels_allocate_nothing_and_wait_for_nothing() -> None:
    """Nor do they need more than plain C++: the same sources are C++'s, without PyTorch, TensorRT or a library."""
    source = "".join(re.sub(r"//.*", "", path.read_text()) for path in sorted(SOURCES.glob("*.cu*")))
    forbidden = r"\b(?:malloc|free|new|delete|printf|cuda[A-Z]\w*|\w*Synchronize|__threadfence\w*|std::\w+)\b"
    assert re.findall(forbidden, source) == []
    assert re.findall(r"extern\s+__shared__", source) == []
    assert set(re.findall(r"#include (\S+)", source)) - {f'"{path.name}"' for path in SOURCES.glob("*.cu*")} == {
        "<cstdint>"
    }
    # Of whole numbers alone: the host build has no others.
    assert set(re.findall(r"\batomic\w+", source)) == {"atomicAdd", "atomicOr"}


def test_sizes_are_64_bits() -> None:
    """What is 32 bits is a choice or a small count: rows are those of a block."""
    header = re.sub(r"//.*", "", (SOURCES / "kernels.cuh").read_text())
    small = set(re.findall(r"\bint32_t (\w+)", header))
    assert small == {
        "by_area",
        "channel",
        "channels",
        "clip_limit",
        "grid",
        "order",
        "planes",
        "refine",
        "rows",
        "stride",
    }
    sizes = {"height", "width", "tile", "count", "pixels", "first"}
    assert sizes <= set(re.findall(r"\bint64_t (\w+)", header))


def test_grids_and_blocks_are_within_what_cuda_allows() -> None:
    for launch in every_launch():
        assert all(count >= 1 for count in (*launch.grid, *launch.block))
        assert launch.grid[0] < 2**31
        assert max(launch.grid[1:]) <= 65535
        assert np.prod(launch.block) == 256  # each kernel's launch bound
        assert launch.bytes_moved > 0


def test_rows_are_shared_where_an_image_is_higher_than_a_grid() -> None:
    high = launches.enhance_grey(16, 16, 100_000, 40, PreprocessSpec(clahe=ClaheSpec(grid=1)), COLOUR)
    assert high[-1].grid[1] == 65535


def test_a_kernel_that_does_not_exist_is_an_error(kernels: HostKernels) -> None:
    with pytest.raises(AssertionError, match="frt_other: no such kernel"):
        kernels.run(Launch("frt_other", (1, 1, 1), (256, 1, 1), (), 0))
