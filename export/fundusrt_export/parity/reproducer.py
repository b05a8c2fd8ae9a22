"""A divergence as a folder that shows it on any machine with ONNX Runtime and NumPy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.errors import OutputError
from fundusrt_export.bundle_writer import staged_bundle
from fundusrt_export.parity.first_divergence import Divergence

__all__ = ["SCRIPT", "save_reproducer"]

SCRIPT = "reproduce.py"

_CODE = '''\
"""Run graph.onnx on its recorded inputs and compare with the expected values. Exit code 1 while they differ."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

LIMIT = {limit!r}
folder = Path(__file__).parent
session = onnxruntime.InferenceSession(str(folder / "graph.onnx"), providers=["CPUExecutionProvider"])
feeds = {{value.name: np.load(folder / f"input_{{k}}.npy") for k, value in enumerate(session.get_inputs())}}
(made,) = session.run(None, feeds)
expected = np.load(folder / "expected.npy").reshape(-1)
made = made.reshape(-1).astype(np.float32)
difference = np.inf
if made.size == expected.size:
    difference = np.abs(made - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny)
print(f"{tensor}: largest difference {{difference:.3g}} of the largest expected value, limit {{LIMIT:g}}")
sys.exit(0 if difference <= LIMIT else 1)
'''

_README = """\
# {tensor} diverges

| | |
|---|---|
| rung | {rung} |
| diverging tensor | `{tensor}` |
| made by node | `{node}` ({operator}) |
| layer of the reference | `{layer}` |
| largest difference / largest expected value | {difference:.3g}, limit {limit:g} |

`graph.onnx` is the smallest graph that shows it, `input_*.npy` are its inputs in order, `expected.npy` is what the
reference computes there and `made.npy` what ONNX Runtime made of it. Everything before this node agrees. To run it:

    python {script}
"""


def save_reproducer(divergence: Divergence, folder: Path, rung: str) -> Path:
    """Write a divergence, completely or not at all.

    Args:
        divergence: what was found.
        folder: made; an older reproducer there is replaced.
        rung: that failed.

    Returns:
        The folder.

    Raises:
        OutputError: it cannot be written, or something else is there.
    """
    if folder.exists() and not (folder / SCRIPT).is_file():
        raise OutputError(
            folder, got="something that is no reproducer", expected="a new folder", fix="move it, or export elsewhere"
        )
    facts: dict[str, Any] = {
        name: getattr(divergence, name) for name in ("tensor", "node", "operator", "layer", "difference", "limit")
    }
    files = {
        "graph.onnx": divergence.graph,
        "expected.npy": _stored(divergence.expected),
        "made.npy": _stored(divergence.made),
        "README.md": _README.format(**facts, rung=rung, script=SCRIPT).encode(),
        SCRIPT: _CODE.format(**facts).encode(),
    }
    files |= {f"input_{k}.npy": _stored(values) for k, values in enumerate(divergence.feeds.values())}
    with staged_bundle(folder, files):
        pass
    return folder


def _stored(values: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()
