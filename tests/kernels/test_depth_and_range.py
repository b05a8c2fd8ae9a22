"""The small kernels: 16 bits to 8, grey stored in colour, one channel, and values outside their range."""

from __future__ import annotations

import numpy as np
import pytest

from fundusrt.kernels import launches
from fundusrt.preprocess import to_8_bit
from tests.kernels.host_kernels import HostKernels, HostMemory, address

# Around the four values of a thread and the 1024 of a block.
COUNTS = (1, 2, 3, 4, 5, 7, 1023, 1024, 1025, 4099)


def flag_of(kernels: HostKernels, memory: HostMemory, launch_of: object) -> int:
    flag = memory.empty((1,), np.uint32)
    flag[0] = 0
    kernels.run(launch_of(address(flag)))  # type: ignore[operator]
    memory.check()
    return int(flag[0])


def test_all_16_bit_values(kernels: HostKernels, memory: HostMemory) -> None:
    values = np.arange(65536, dtype=np.uint16)
    made = memory.empty(values.shape, np.uint8)
    kernels.run(launches.reduce_16(memory.copy(values), address(made), values.size))
    memory.check()
    np.testing.assert_array_equal(made, to_8_bit(values))


@pytest.mark.parametrize("count", COUNTS)
def test_counts_that_are_no_multiple_of_anything(kernels: HostKernels, memory: HostMemory, count: int) -> None:
    random = np.random.default_rng(count)
    values = random.integers(0, 65536, count, dtype=np.uint16)
    made = memory.empty((count,), np.uint8)
    kernels.run(launches.reduce_16(memory.copy(values), address(made), count))
    np.testing.assert_array_equal(made, to_8_bit(values))
    rgb = random.integers(0, 256, (count, 3), dtype=np.uint8)
    kernels.run(launches.pick_channel(memory.copy(rgb), address(made), count, 1))
    np.testing.assert_array_equal(made, rgb[:, 1])
    memory.check()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_coloured_pixel_is_found(kernels: HostKernels, memory: HostMemory, count: int, channel: int) -> None:
    grey = np.repeat(np.random.default_rng(count).integers(0, 255, (count, 1), dtype=np.uint8), 3, axis=1)
    source = memory.copy(grey)
    assert flag_of(kernels, memory, lambda flag: launches.channels_differ(source, count, flag)) == 0
    grey[-1, channel] += 1
    source = memory.copy(grey)
    assert flag_of(kernels, memory, lambda flag: launches.channels_differ(source, count, flag)) == 1


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("value", [-1e-9, 1.0000001, np.nan, np.inf, -np.inf])
def test_one_value_outside_is_found(kernels: HostKernels, memory: HostMemory, count: int, value: float) -> None:
    values = np.random.default_rng(count).random(count, np.float32)
    values[0] = 0.0
    values[-1] = 1.0
    source = memory.copy(values)
    assert flag_of(kernels, memory, lambda flag: launches.check_range(source, count, flag)) == 0
    for position in {0, count // 2, count - 1}:
        wrong = values.copy()
        wrong[position] = value
        source = memory.copy(wrong)
        assert flag_of(kernels, memory, lambda flag, at=source: launches.check_range(at, count, flag)) == 1


def test_another_range(kernels: HostKernels, memory: HostMemory) -> None:
    source = memory.copy(np.float32([-1.0, 2.0]))
    assert flag_of(kernels, memory, lambda flag: launches.check_range(source, 2, flag, within=(-1.0, 2.0))) == 0
    assert flag_of(kernels, memory, lambda flag: launches.check_range(source, 2, flag, within=(-1.0, 1.5))) == 1
