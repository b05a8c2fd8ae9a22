"""Indices beyond 2^31: more elements than a 32-bit index reaches."""

from __future__ import annotations

import numpy as np
import pytest

from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.lane import Lane
from fundusrt.kernels import launches

pytestmark = pytest.mark.gpu

COUNT = 2**31 + 1029


@pytest.fixture
def room(lane: Lane) -> Lane:
    free, _ = lane.device.free_memory()
    if free < 12 * 2**30:
        pytest.skip(f"{free / 2**30:.0f} GiB of device memory are free, 12 are needed")
    return lane


def last(array: DeviceArray, count: int) -> DeviceArray:
    return DeviceArray(array.address + (array.size - count) * array.dtype.itemsize, (count,), array.dtype)


def test_the_last_of_two_thousand_million_pixels_is_reduced(room: Lane) -> None:
    deep = room.array("deep", (COUNT,), np.uint16)
    made = room.array("made", (COUNT,), np.uint8)
    room.zero(deep)
    tail = np.arange(1000, dtype=np.uint16) * 65
    room.copy(room.upload("tail", tail)[0], last(deep, 1000))
    room.run(launches.reduce_16(deep.address, made.address, COUNT))
    assert np.array_equal(room.download(last(made, 1000)), (tail.astype(np.uint32) + 128) // 257)
    assert not room.download(DeviceArray(made.address, (1000,), made.dtype)).any()


def test_the_last_value_out_of_range_is_found(room: Lane) -> None:
    values = room.array("values", (COUNT,), np.float32)
    flag = room.array("flag", (1,), np.uint32)
    room.zero(values)
    room.zero(flag)
    room.run(launches.check_range(values.address, COUNT, flag.address))
    assert room.download(flag)[0] == 0
    room.copy(room.upload("nan", np.float32([np.nan]))[0], last(values, 1))
    room.run(launches.check_range(values.address, COUNT, flag.address))
    assert room.download(flag)[0] == 1
