"""Dependencies run one way, and importing the SDK loads next to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SDK = REPOSITORY / "sdk"
HEAVY = (
    "torch", "onnx", "onnxscript", "tensorrt", "tensorrt_rtx", "pycuda", "cv2", "onnxruntime", "openvino", "PIL",
    "tifffile", "lightning", "monai", "scipy", "pywt", "pytorch_wavelets", "matplotlib",
)  # fmt: skip


def sdk_modules() -> list[str]:
    parts = [path.relative_to(SDK).with_suffix("").parts for path in sorted(SDK.glob("fundusrt/**/*.py"))]
    return [".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts]


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that sees the three packages as an installed copy would."""
    path = os.pathsep.join(str(REPOSITORY / name) for name in ("sdk", "training", "export"))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=REPOSITORY,
        timeout=600,
        check=False,
    )


BLOCKED_IMPORTS = """
import importlib, json, sys
modules, heavy = json.loads(sys.argv[1])

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in heavy:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
failed = {}
for module in modules:
    try:
        importlib.import_module(module)
    except Exception as error:
        failed[module] = repr(error)
print(json.dumps(failed))
"""


def test_every_sdk_module_is_importable_without_anything_heavy() -> None:
    modules = sdk_modules()
    assert "fundusrt.backends.onnxruntime" in modules
    assert "fundusrt.commands.run" in modules
    assert len(modules) > 30
    done = python(BLOCKED_IMPORTS, json.dumps([modules, HEAVY]))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


def loaded_after(code: str) -> set[str]:
    done = python(f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)")
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_importing_fundusrt_loads_numpy_and_nothing_heavier() -> None:
    """By what is loaded, not by the clock: the same on a busy machine."""
    loaded = loaded_after("import fundusrt")
    assert "numpy" in loaded
    assert loaded & {*HEAVY, "pydantic", "click", "rich"} == set()


def test_the_command_line_s_help_loads_no_image_library() -> None:
    loaded = loaded_after(
        "from fundusrt.cli import main\n"
        "for name in ('demo', 'doctor', 'inspect', 'run', 'tune', 'verify'):\n"
        "    main([name, '--help'], standalone_mode=False)"
    )
    assert loaded & set(HEAVY) == set()


def test_running_a_bundle_loads_neither_torch_nor_onnx(tiny: Path) -> None:
    loaded = loaded_after(
        "import fundusrt, numpy\n"
        f"with fundusrt.load({str(tiny)!r}, threads=1) as pipeline:\n"
        "    assert pipeline(numpy.full((64, 64), 200, numpy.uint8)).mask.shape == (64, 64)\n"
    )
    assert {"cv2", "onnxruntime"} <= loaded
    assert loaded & {"torch", "onnx", "lightning", "monai", "scipy", "matplotlib"} == set()


def test_import_contracts() -> None:
    """The layers and the SDK's forbidden modules, as `pyproject.toml` has them."""
    done = python("from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("package", "may_not"),
    [("sdk", ("fundusrt_training", "fundusrt_export")), ("training", ("fundusrt_export",))],
)
def test_lower_layers_do_not_even_name_the_upper_ones(package: str, may_not: tuple[str, ...]) -> None:
    """Also not in strings that are imported later, which import-linter cannot see."""
    for path in (REPOSITORY / package).rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not any(f"{name}." in line or f"import {name}" in line for name in may_not), f"{path}: {line}"
