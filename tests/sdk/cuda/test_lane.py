"""A lane's memory: it outlives the work that uses it, whatever is asked for meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.lane import Lane
from tests.sdk.cuda.fake_cuda import CudaError, FakeCuda
from tests.sdk.cuda.fake_device import fake_device


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lane]:
    with fake_device(monkeypatch) as (device, cuda, _):
        with device.current():
            kernels: Any = SimpleNamespace()
            made = Lane(device, kernels)
            yield made
            made.close()
        cuda.assert_clean()


def fake(lane: Lane) -> FakeCuda:
    return lane.device.cuda


def test_memory_of_a_name_is_kept_and_grows(lane: Lane) -> None:
    small = lane.array("a", (10,), np.uint8)
    assert lane.array("a", (5,), np.uint8).address == small.address
    assert lane.array("b", (10,), np.uint8).address != small.address
    large = lane.array("a", (1000,), np.uint8)
    assert large.address != small.address
    with pytest.raises(CudaError, match="illegal memory access"):
        fake(lane).check(small.address, 1)


def test_growing_waits_for_what_uses_the_smaller_one(lane: Lane) -> None:
    sent = lane.upload("a", np.arange(10, dtype=np.uint8))[0]
    copy = lane.array("b", (10,), np.uint8)
    lane.copy(sent, copy)
    lane.array("a", (1000,), np.uint8)
    assert np.array_equal(lane.download(copy), np.arange(10))


def test_pinned_memory_is_not_written_over_while_it_is_on_its_way(lane: Lane) -> None:
    first = lane.upload("a", np.full(10, 1, np.uint8))[0]
    copy = lane.array("b", (10,), np.uint8)
    lane.copy(first, copy)
    second = lane.upload("a", np.full(10, 2, np.uint8))[0]
    assert (lane.download(copy) == 1).all()
    assert (lane.download(second) == 2).all()


def test_the_callers_array_may_change_at_once(lane: Lane) -> None:
    values = np.full(10, 1, np.uint8)
    sent = lane.upload("a", values)[0]
    values[:] = 9
    assert (lane.download(sent) == 1).all()


def test_constants_go_up_once(lane: Lane) -> None:
    table = np.arange(256, dtype=np.uint8)
    first = lane.constant("t", table)
    before = fake(lane).uploaded
    assert lane.constant("t", table.copy()).address == first.address
    assert fake(lane).uploaded == before
    other = lane.constant("t", table[::-1].copy())
    assert np.array_equal(lane.download(other), table[::-1])
    assert lane.transfers.uploads == 0


def test_bytes_are_counted_from_the_beginning_of_an_image(lane: Lane) -> None:
    lane.upload("a", np.zeros(10, np.uint8))
    lane.begin()
    (sent,) = lane.upload("a", np.zeros((3, 4), np.float32))
    lane.download(sent)
    moved = lane.transfers
    assert (moved.uploads, moved.uploaded_bytes, moved.downloads, moved.downloaded_bytes) == (1, 48, 1, 48)


def test_arrays_know_their_elements(lane: Lane) -> None:
    array = lane.array("a", (4, 3, 2), np.float32)
    assert (array.size, array.nbytes) == (24, 96)
    assert array[2] == DeviceArray(array.address + 48, (3, 2), np.dtype(np.float32))
    assert array.first(2).shape == (2, 3, 2)
    assert array.__cuda_array_interface__["data"] == (array.address, False)
    for wrong in (-1, 4):
        with pytest.raises(IndexError):
            array[wrong]
    with pytest.raises(IndexError):
        array.first(5)
    with pytest.raises(ValueError, match="96 bytes into 24"):
        lane.copy(array, array[0])
