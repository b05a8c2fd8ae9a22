"""`fundusrt demo`: what it prints and writes."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from fundusrt.testing import tiny_image
from tests.sdk.command_line import expected_names, invoke, result_names


def test_demo(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = tmp_path / "angiogram.png"
    sample.write_bytes(cv2.imencode(".png", tiny_image())[1].tobytes())
    monkeypatch.setattr("fundusrt.commands.demo.sample_path", lambda: sample)
    result = invoke("demo", "-o", tmp_path / "[out]")
    assert result.exit_code == 0
    assert "sample      angiogram.png, 144 x 208 px (generated, no patient)" in result.stdout
    assert "ran on      onnxruntime:CPUExecutionProvider, fp32, 6 tiles + 1 whole image" in result.stdout
    assert "found       4 lesions, " in result.stdout
    assert f"mask        {tmp_path / '[out]' / 'angiogram_mask.png'}" in result.stdout
    assert result_names(tmp_path / "[out]") == expected_names("angiogram")


def test_demo_into_a_file_exits_1(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = tmp_path / "angiogram.png"
    sample.write_bytes(cv2.imencode(".png", tiny_image())[1].tobytes())
    monkeypatch.setattr("fundusrt.commands.demo.sample_path", lambda: sample)
    result = invoke("demo", "-o", sample)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {sample}: got File exists; expected a writable folder")
