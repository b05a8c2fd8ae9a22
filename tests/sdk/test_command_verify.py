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
    for rung in ("preprocessing", "network-large", "network-small", "stitched", "cgnr", "mask", "certified", "here"):
        assert rung in result.stdout
    assert "FAILED" not in result.stdout


@pytest.mark.parametrize(("value", "figures"), [(1.0, 1), (np.nan, 2)])  # NaN is a seam too
def test_verify_a_bundle_that_does_not_hold_here_exits_3(tiny_copy: Path, value: float, figures: int) -> None:
    path = tiny_copy / "golden/small.npz"
    array = np.load(path)["arr_0"]
    array[5, 5] = value
    np.savez(path, array)
    reseal(tiny_copy)
    result = invoke("verify", tiny_copy)
    assert result.exit_code == 3
    assert result.stdout.count("FAILED") == figures
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
    assert len(content["rungs"]) == 6
    assert all(len(rung["certified"]) == len(rung["measurements"]) for rung in content["rungs"])
    assert content["not_measured"] == {}
    assert content["environment"]["onnxruntime"]


def test_verify_says_which_runtime_was_not_measured(tiny_copy: Path) -> None:
    networks = json.loads((tiny_copy / "bundle.json").read_text())["networks"]
    for network in networks.values():
        network["variants"].append({**network["variants"][0], "target": "tensorrt"})
    reseal(tiny_copy, networks=networks)
    result = invoke("verify", tiny_copy)
    assert result.exit_code == 0
    assert "not measured: tensorrt (device: got 'cpu' with backend 'tensorrt'" in result.stdout


def test_verify_with_other_preprocessing_exits_3(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fundusrt.preprocess.gamma_table", lambda gamma: np.arange(256, dtype=np.uint8))
    result = invoke("verify", tiny)
    assert result.exit_code == 3
    assert result.stdout.count("FAILED") == 2


def test_verify_an_unknown_backend_exits_3(tiny: Path) -> None:
    result = invoke("verify", tiny, "--backend", "tvm")
    assert result.exit_code == 3
    assert "backend: got 'tvm'; expected one of onnxruntime, openvino" in result.stderr
