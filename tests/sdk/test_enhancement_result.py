"""An enhanced image on disk: what was made, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fundusrt import EnhancementResult, InvalidInput, OutputError
from fundusrt.image import from_array
from fundusrt.testing import fake_enhancement_pipeline, tiny_enhancement_manifest, tiny_photograph


@pytest.fixture(scope="module")
def result() -> EnhancementResult:
    image = from_array(tiny_photograph(), source_id="eye.v2.jpg")
    return fake_enhancement_pipeline(tiny_enhancement_manifest())(image)


def test_save_writes_two_files_that_hold_the_result(result: EnhancementResult, tmp_path: Path) -> None:
    written = result.save(tmp_path / "out")
    assert {kind: path.name for kind, path in written.items()} == {
        "enhanced": "eye.v2_enhanced.png",
        "result": "eye.v2_result.json",
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["eye.v2_enhanced.png", "eye.v2_result.json"]
    stored = cv2.imread(str(written["enhanced"]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored[..., ::-1], result.image)
    content = json.loads(written["result"].read_text())
    assert content == json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert list(content) == [
        "format", "format_version", "quality", "field_of_view_px", "mean_change_grey_levels", "timings_ms",
        "provenance",
    ]  # fmt: skip
    assert (content["format"], content["format_version"]) == ("fundusrt-enhancement", 1)
    assert content["mean_change_grey_levels"] == result.mean_change
    assert content["provenance"]["frame"] == [6, 38, 138, 170]


def test_a_failed_save_leaves_no_json_of_an_earlier_run(
    result: EnhancementResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result.save(tmp_path, "eye")
    before = (tmp_path / "eye_enhanced.png").read_bytes()
    other = replace(result, image=result.image[::-1])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fundusrt.atomic._sync", full)
        with pytest.raises(OutputError, match=r"eye_enhanced.png: got No space left on device"):
            other.save(tmp_path, "eye")
    assert [path.name for path in tmp_path.iterdir()] == ["eye_enhanced.png"]
    assert (tmp_path / "eye_enhanced.png").read_bytes() == before


def test_a_name_that_is_a_path(result: EnhancementResult, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"result name: got '../x'; expected a plain file name"):
        result.save(tmp_path, "../x")


def test_the_text_of_a_result_is_short(result: EnhancementResult) -> None:
    assert repr(result).startswith("EnhancementResult('eye.v2.jpg', 144 x 208 px, enhanced, mean change ")
    assert result.summary().startswith("enhanced, mean change ")
    assert result.summary().endswith(" s")
