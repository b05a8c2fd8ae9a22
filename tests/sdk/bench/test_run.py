"""A whole run on a small bundle: what the document says, that wrong answers fail, and the command's two faces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fundusrt.bench import processes
from fundusrt.bench.files import read_report
from fundusrt.bench.processes import BenchRequest, run_bench
from fundusrt.bench.report import BenchReport
from fundusrt.bench.schema import current_schema, published_schema
from fundusrt.bench.summary import CANONICAL_STAGES
from fundusrt.errors import InvalidInput
from fundusrt.testing import tiny_enhancement_bundle, tiny_exudate_bundle
from tests.sdk.bench.hand_clock import launcher
from tests.sdk.command_line import invoke


def zeros(values: Any) -> Any:
    """A fast wrong engine: it marks nothing."""
    return np.zeros_like(values)


def test_the_published_schema_is_that_of_the_document() -> None:
    """After a change: python -m fundusrt.bench.schema."""
    assert published_schema() == current_schema()


def test_a_run_of_fresh_processes(tiny: Path, tmp_path: Path) -> None:
    image = tiny / "golden" / "image.png"
    out = tmp_path / "out"
    done = invoke("bench", tiny, "-i", image, "-o", out, "--processes", 2, "--rounds", 2, "--threads", 1, "--name", "a")
    assert done.exit_code == 0, done.output
    report = read_report(out / "a.json")
    assert BenchReport.model_validate(json.loads((out / "a.json").read_text())) == report
    assert {(each.scope, each.scenario) for each in report.latency} == {
        (scope, scenario) for scope in ("network", "device", "end_to_end") for scenario in ("single_stream", "offline")
    }
    assert tuple(sorted(each.stage for each in report.stages)) == tuple(sorted(CANONICAL_STAGES["cmwnet"]))
    assert all(each.quantiles is not None for each in report.stages)
    assert sum(each.share or 0.0 for each in report.stages) == pytest.approx(1.0)
    assert report.runtime.provider == "onnxruntime:CPUExecutionProvider"
    assert report.runtime.threads == 1
    assert report.protocol.rounds == (2, 2)
    assert len(report.samples) == 2 * 2 * 6
    assert report.correctness.holds
    assert len(report.cold_start) == 2
    for cold in report.cold_start:
        reached = (cold.imported_ms, cold.loaded_ms, float(cold.first_tile_ms.value or 0.0), cold.first_result_ms)
        assert list(reached) == sorted(reached)
        assert set(cold.first_network_ms) == {"large", "small"}
    assert "right" in done.output
    assert cv2.imread(str(out / "a.png")).shape[1] == 1200

    compared = invoke("bench", "compare", out / "a.json", out / "a.json", "--json")
    assert compared.exit_code == 0
    found = json.loads(compared.stdout)
    assert found["verdict"] == "no difference"
    assert [row["ratio"] for row in found["rows"]] == [1.0] * 6


@pytest.mark.parametrize("make", [tiny_exudate_bundle, tiny_enhancement_bundle])
def test_systems_of_one_frame(make: Any, tmp_path: Path) -> None:
    bundle = make(tmp_path / "tiny")
    request = BenchRequest(str(bundle), Path("unused"), {"threads": 1}, processes=1, rounds=1)
    report = run_bench(request, launch=launcher(1.0, 1))
    assert report.correctness.holds, [check for check in report.correctness.checks if not check.holds]
    assert [image.name for image in report.images] == [
        f"golden-{how}.png" for how in ("as-is", "mirrored", "upside-down", "turned")
    ]
    assert {each.stage for each in report.stages} == set(CANONICAL_STAGES[report.bundle.system])


def test_a_fast_wrong_engine_fails_and_says_what_differed(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "run_worker", launcher(0.001, 1, zeros))
    image = tiny / "golden" / "image.png"
    options = ("-i", image, "--rounds", 1, "--processes", 1, "--scope", "device", "-o", tmp_path, "--name", "wrong")
    done = invoke("bench", tiny, *options)
    assert done.exit_code == 1
    assert "wrong  golden image, network-large, max |difference|: got" in done.stderr
    assert "wrong  golden image, mask, share of mask pixels that differ: got" in done.stderr
    assert "WRONG" in done.stdout
    assert not read_report(tmp_path / "wrong.json").correctness.holds


def test_answers_that_change_from_call_to_call_fail(tiny: Path) -> None:
    calls = iter(range(10**6))

    def unsteady(values: Any) -> Any:
        return np.clip(values + np.float32(1e-6) * (next(calls) % 3), 0.0, 1.0).astype(np.float32)

    image = tiny / "golden" / "image.png"
    request = BenchRequest(str(tiny), image, {"threads": 1}, (image,), processes=1, rounds=4)
    report = run_bench(request, launch=launcher(1.0, 1, unsteady))
    wrong = [check.what for check in report.correctness.checks if not check.holds]
    assert any(what.endswith("image.png, every timed call") for what in wrong)


def test_an_error_of_a_process_is_the_command_s(tiny: Path, tmp_path: Path) -> None:
    """What only the fresh process finds out comes back as the error it was."""
    image = tiny / "golden" / "image.png"
    done = invoke("bench", tiny, "-i", image, "--precision", "int8", "-o", tmp_path / "out")
    assert done.exit_code == 3
    assert "got onnxruntime/int8; expected one of onnxruntime/fp32" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_image_without_a_field_is_refused(tiny: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((64, 64), np.uint8))
    with pytest.raises(InvalidInput, match=r"black.png: got no field of view; expected an image that the networks see"):
        run_bench(BenchRequest(str(tiny), Path("unused"), images=(tmp_path / "black.png",)))


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (None, "No such file"),
        ("{", "no JSON"),
        ("{}", "created: Field required"),
        ('{"format": "other"}', "Input should be 'fundusrt-bench'"),
    ],
)
def test_a_file_that_is_no_report(content: str | None, got: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    done = invoke("bench", "compare", tmp_path / "a.json", tmp_path / "a.json")
    assert done.exit_code == 1
    assert f"{tmp_path / 'a.json'}: got " in done.stderr
    assert got in done.stderr
    assert "pass a file that `fundusrt bench` wrote" in done.stderr
