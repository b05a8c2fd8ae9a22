"""Every stage of the device on small images, for compute-sanitizer.

python -m benchmarks.gpu_check.sanitized [TOOL]
"""

from __future__ import annotations

import sys

from fundusrt.cuda.driver import cuda_device
from fundusrt.cuda.kernels import KernelModule
from fundusrt.cuda.lane import Lane
from tests.sdk.cuda import stage_cases

__all__: list[str] = []


def main() -> None:
    """Run the cases; racecheck, which is slow, gets the smaller ones."""
    stage_cases.EXACT = False
    if sys.argv[1:] == ["racecheck"]:
        stage_cases.SIZES = ((97, 131), (33, 250))
    device = cuda_device()
    with device.current():
        kernels = KernelModule(device)
        lane = Lane(device, kernels)
        for case in stage_cases.CASES:
            case(lane)
        lane.close()
        kernels.close()
    print("stages: " + ", ".join(case.__name__ for case in stage_cases.CASES))


if __name__ == "__main__":
    main()
