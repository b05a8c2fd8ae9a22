"""Each stage of the device on the fake GPU is the CPU's, number by number."""

from __future__ import annotations

from typing import Any

import pytest

from fundusrt.cuda.kernels import KernelModule
from fundusrt.cuda.lane import Lane
from tests.sdk.cuda.fake_device import fake_device
from tests.sdk.cuda.stage_cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_stage(case: Case, host_kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_device(monkeypatch, host_kernels) as (device, cuda, _):
        with device.current():
            kernels = KernelModule(device)
            lane = Lane(device, kernels)
            case(lane)
            lane.close()
            kernels.close()
        cuda.assert_clean()
