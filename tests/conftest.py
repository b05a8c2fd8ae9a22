"""What all tests share: how they run (one thread, workers, examples), a small bundle, the folder of real images."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

# Before numpy and torch are loaded, and for the processes that tests start: the order of sums, and so their last bit,
# is the same on any number of cores, and workers side by side do not wait for each other's threads.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import cv2
import pytest
from hypothesis import HealthCheck, settings

from fundusrt.testing import tiny_bundle

# The same examples in every run; FUNDUSRT_EXPLORE=1 looks for new ones, ten times as many.
settings.register_profile(
    "reproducible",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("explore", settings.get_profile("reproducible"), derandomize=False, max_examples=1000)
settings.load_profile("explore" if os.environ.get("FUNDUSRT_EXPLORE") else "reproducible")

cv2.setNumThreads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that no worker of `pytest -n` is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Keep the modules that are loaded by now out of every later search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid bundle with tiles of 64 px. Do not change it: `tiny_copy` is for that."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", tile_px=64, whole_px=64)


@pytest.fixture
def tiny_copy(tiny: Path, tmp_path: Path) -> Path:
    """The same bundle, to be changed."""
    return Path(shutil.copytree(tiny, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real images that are not part of the repository; tests that need it are skipped without it."""
    folder = Path(os.environ.get("FUNDUSRT_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images: {folder} does not exist (set FUNDUSRT_DATA)")
    return folder
