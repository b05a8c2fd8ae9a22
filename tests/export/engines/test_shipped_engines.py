"""The three shipped bundles, compiled for real by TensorRT-RTX: nothing of it runs, there need be no GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.export.engines.build_command import invoke_build

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")

NETWORKS = {"exudate": 1, "leakage": 2, "enhance": 1}
MIB = 1024 * 1024


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ["sm75", "sm86", "sm89", "sm120"])
@pytest.mark.parametrize("bundle", NETWORKS)
def test_a_shipped_bundle_builds(bundle: str, gpu: str, tmp_path: Path) -> None:
    arguments = (bundle, "--for", "tensorrt-rtx", "--gpu", gpu, "--json")
    result = invoke_build(*arguments, cache=tmp_path / "engines")
    assert result.exit_code == 0, result.output
    engines = json.loads(result.stdout)["engines"]
    assert len(engines) == NETWORKS[bundle]
    for engine in engines:
        report = engine["report"]
        assert report["generated_kernels"] > 5
        assert engine["variant"] == "tensorrt"
        assert report["generated_kernels"] >= report["engine_layers"]["kgen"]  # some layers launch two
        assert report["engine_layers"]["correlation"] > 20  # the convolutions
        assert 1 * MIB < report["weight_bytes"] < 16 * MIB
        assert 16 * MIB < report["activation_bytes"] < 512 * MIB
        assert report["plan_bytes"] < 64 * MIB
