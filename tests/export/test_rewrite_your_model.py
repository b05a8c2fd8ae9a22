"""The page `docs/rewrite-your-model.md`: its code runs and shows what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from fundusrt_export.onnx_checks import FORBIDDEN_OPS
from fundusrt_export.passes import graph_statistics

PAGE = (Path(__file__).parents[2] / "docs" / "rewrite-your-model.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore")  # the exporter's notes about PyTorch's future
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "page"}
    torch.manual_seed(0)
    exec(compile(code, "rewrite-your-model.md", "exec"), names)
    (difference,) = re.findall(r"tensor\(([^,)]+)", capsys.readouterr().out)
    assert float(difference) <= 1e-5
    content = (tmp_path / "denoiser.onnx").read_bytes()
    operators = graph_statistics(content).operators
    assert operators["Conv"] == operators["ConvTranspose"] == 3  # one a level, as the page says
    assert not FORBIDDEN_OPS & set(operators)
    session = onnxruntime.InferenceSession(tmp_path / "denoiser.onnx", providers=["CPUExecutionProvider"])
    image = names["image"]
    (answer,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    expected = names["model"](image).detach().numpy()
    _, _, height, width = image.shape  # the inverse of an odd size has one row more
    assert np.abs(expected[..., :height, :width] - image.numpy()).max() > 0.01  # the model does something
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-5)
