"""The C++ library, built once, and images to compare it on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cpp.cpp_build import build, missing_tools
from tests.cpp.probe import Probe


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of a release build with the test programs."""
    reason = missing_tools()
    if reason is not None:
        pytest.skip(reason)
    return build("tests", "-DCMAKE_BUILD_TYPE=Release", "-DFUNDUSRT_TESTS=ON")


@pytest.fixture(scope="session")
def probe(built: Path) -> Probe:
    return Probe(built / "tests" / "libfundusrt_probe.so")
