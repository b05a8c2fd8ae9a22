"""`fundusrt doctor`: what it finds on this machine, and its exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import fundusrt
from tests.sdk.bundle_attacks import reseal
from tests.sdk.command_line import invoke


def test_doctor_on_a_machine_that_has_all(shipped: Path) -> None:
    result = invoke("doctor")
    assert result.exit_code == 0
    assert "golden vectors reproduced" in result.stdout
    assert "ready to run" in result.stdout
    content = json.loads(invoke("doctor", "--json").stdout)
    assert content["ok"] is True
    assert content["fundusrt"] == fundusrt.__version__
    assert {"what", "ok", "detail", "fix", "needed"} == set(content["findings"][0])


def test_doctor_names_what_is_broken_and_the_fix(shipped: Path) -> None:
    (shipped / "small.onnx").unlink()
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "small.onnx: got no such file" in result.stdout
    assert "copy or export it again" in result.stdout
    assert "1 needed thing(s) missing: see the fixes above" in result.stdout
    content = json.loads(invoke("doctor", "--json").stdout)
    assert content["ok"] is False


def test_doctor_when_the_answers_differ_here(shipped: Path) -> None:
    path = shipped / "golden/large.npz"
    np.savez(path, np.load(path)["arr_0"] / 2)
    reseal(shipped)
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "golden vectors differ: network-large" in result.stdout
    assert "run `fundusrt verify leakage`" in result.stdout


def test_doctor_without_a_needed_package_still_reports(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))  # what an uninstalled wheel may leave
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "the package is hollow" in result.stdout
    monkeypatch.setitem(sys.modules, "cv2", None)
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "not run: " in result.stdout
