"""Rewritten transforms in ONNX with batch, height and width free: right at sizes and parities that were not traced."""

from __future__ import annotations

import warnings
from collections import Counter

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from fundusrt_export.onnx_checks import FORBIDDEN_OPS
from fundusrt_export.rewrite import rewrite_wavelets
from tests.export.wavelet_cases import MODES, distance, library, noise
from tests.tolerances import WAVELET_REWRITE_FLOAT32


class RoundTrip(nn.Module):
    """Two levels, high bands halved."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.analysis = library.DWTForward(J=2, wave="db2", mode=mode)
        self.synthesis = library.DWTInverse(wave="db2", mode=mode)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        low, highs = self.analysis(image)
        return self.synthesis((low, [high * 0.5 for high in highs])), low


@pytest.mark.parametrize("mode", MODES)
def test_free_sizes(mode: str) -> None:
    model = RoundTrip(mode).eval()
    made = rewrite_wavelets(model)
    if mode == "periodization":  # an odd size would append a sample: declared as multiples of 2^J
        height, width = 4 * Dim("h", min=8, max=512), 4 * Dim("w", min=8, max=512)
        sizes = [(48, 96), (64, 80), (100, 36)]
    else:
        height, width = Dim("height", min=32, max=2048), Dim("width", min=32, max=2048)
        sizes = [(48, 96), (64, 80), (33, 47), (100, 37), (39, 64)]
    free = ({0: Dim("batch", min=1, max=64), 2: height, 3: width},)
    example = (noise(2, 2, 64, 80, dtype=torch.float32),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(made, example, dynamo=True, opset_version=18, dynamic_shapes=free, verbose=False)
    assert program is not None
    operators = Counter(node.op_type for node in program.model_proto.graph.node)
    assert not FORBIDDEN_OPS & set(operators)
    assert (operators["Conv"], operators["ConvTranspose"]) == (2, 2)  # one a level
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for batch, size in enumerate(sizes, start=1):
        x = noise(batch, 2, *size, dtype=torch.float32)
        for expected, got in zip(model(x), session.run(None, {session.get_inputs()[0].name: x.numpy()}), strict=True):
            assert distance(expected, got) <= WAVELET_REWRITE_FLOAT32, size
