"""What is imported from the start of a process to its first tile: a budget of modules, the same on a busy machine.

How long it takes is measured by `python -m benchmarks.cold_start`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.architecture.test_dependencies import python

# Third parties that a pipeline on ONNX Runtime cannot do without.
NEEDED = {
    "annotated_types", "cv2", "numpy", "onnxruntime", "pydantic", "pydantic_core", "typing_extensions",
    "typing_inspection",
}  # fmt: skip
# Of this package: what only a GPU, a command, a measurement or another backend needs.
NOT_YET = (
    "fundusrt.cuda", "fundusrt.kernels", "fundusrt.commands", "fundusrt.cli", "fundusrt.bench", "fundusrt.tuning",
    "fundusrt.testing", "fundusrt.verification", "fundusrt.machine", "fundusrt.nvidia_driver",
    "fundusrt.engine_cache", "fundusrt.engine_choice", "fundusrt.engine_folder", "fundusrt.engine_identity",
    "fundusrt.tensorrt_flavour", "fundusrt.tensorrt_log", "fundusrt.backends.openvino", "fundusrt.backends.tensorrt",
    "fundusrt.backends.onnxruntime_gpu", "fundusrt.backends.device_networks",
)  # fmt: skip
# Slow to import, and easily brought in by one line: network, processes, mail of package metadata's own parser excepted.
SLOW = ("asyncio", "multiprocessing", "http", "ssl", "sqlite3", "unittest", "xml", "concurrent", "logging.config")
MOST_OWN_MODULES = 60
MOST_MODULES = 460

FIRST_IMAGE = """
import json, sys
import fundusrt
with fundusrt.load(sys.argv[1], threads=1) as pipeline:
    pipeline(sys.argv[2])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def loaded(tiny: Path) -> set[str]:
    """The modules of a process that has answered one image."""
    done = python(FIRST_IMAGE, str(tiny), str(tiny / "golden" / "image.png"))
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def under(loaded: set[str], names: tuple[str, ...]) -> list[str]:
    return sorted(module for module in loaded if any(f"{module}.".startswith(f"{name}.") for name in names))


def test_no_third_party_but_the_needed_ones(loaded: set[str]) -> None:
    tops = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    own = {"fundusrt", "__main__", "_distutils_hack", "sitecustomize", "usercustomize", "google", "mpl_toolkits"}
    assert {name for name in tops if not name.startswith(("__editable__", "_"))} - own <= NEEDED


def test_nothing_that_the_first_tile_does_not_need(loaded: set[str]) -> None:
    assert under(loaded, NOT_YET) == []
    assert under(loaded, SLOW) == []


def test_the_number_of_modules(loaded: set[str]) -> None:
    own = under(loaded, ("fundusrt",))
    assert len(own) <= MOST_OWN_MODULES, own
    assert len(loaded) <= MOST_MODULES


def test_import_time_names_the_same(tiny: Path) -> None:
    """`-X importtime`, which a developer looks at, begins with this package before anything heavy."""
    code = "import subprocess, sys; raise SystemExit(subprocess.run([sys.executable, '-X', 'importtime', '-c', 'import fundusrt']).returncode)"  # noqa: E501
    done = python(code)
    assert done.returncode == 0, done.stderr
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert {"fundusrt", "numpy"} <= names
    assert {name.split(".")[0] for name in names} & {"cv2", "pydantic", "onnxruntime", "click", "rich"} == set()
