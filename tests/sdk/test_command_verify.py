"""`fundusrt verify`: whether golden vectors hold here, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sdk.bundle_attacks import reseal
from tests.sdk.command_line import invoke


def test_verify(tiny: Path) -> None:
    result = invoke("verify", tiny)
    assert result.exit_code == 0
    assert "hashes and certificate ok" in result.stdout
    for rung in ("preprocessing", "network-large", "network-small", "mask"):
        assert rung in result.stdout
    assert "FAILED" not in result.stdout


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_verify_a_bundle_that_does_not_hold_here_exits_3(tiny_copy: Path, value: float) -> None:
    path = tiny_copy / "golden/small.npz"
    array = np.load(path)["arr_0"]
    array[5, 5] = value
    np.savez(path, array)
    reseal(tiny_copy)
    result = invoke("verify", tiny_copy)
    assert result.exit_code == 3
    assert result.stdout.count("FAILED") == 1
    result = invoke("verify", tiny_copy, "--json")
    assert result.exit_code == 3
    content = json.loads(result.stdout, parse_constant=refuse_constant)
    assert content["holds"] is False
    assert [rung["name"] for rung in content["rungs"] if not rung["holds"]] == ["network-small"]


def refuse_constant(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def test_verify_json(tiny: Path) -> None:
    content = json.loads(invoke("verify", tiny, "--json").stdout, parse_constant=refuse_constant)
    assert content["bundle"] == str(tiny)
    assert content["holds"] is True
    assert len(content["rungs"]) == 4


def test_verify_an_unknown_backend_exits_3(tiny: Path) -> None:
    result = invoke("verify", tiny, "--backend", "tensorrt")
    assert result.exit_code == 3
    assert "backend: got 'tensorrt'; expected one of onnxruntime, openvino" in result.stderr
