"""Each stage on the GPU is the CPU's, number by number."""

from __future__ import annotations

import pytest

from fundusrt.cuda.lane import Lane
from tests.sdk.cuda.stage_cases import CASES, Case

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_stage(case: Case, lane: Lane) -> None:
    case(lane)
