"""What every backend is: a session that turns named arrays into named arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fundusrt.manifest import TensorSpec

__all__ = ["Array", "InferenceSession"]

Array = npt.NDArray[np.float32]


@runtime_checkable
class InferenceSession(Protocol):
    """One loaded network.

    Attributes:
        name: what runs, for the provenance, e.g. `onnxruntime:CPUExecutionProvider`.
        inputs: input tensors by name.
        outputs: output tensors by name.
    """

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]: ...

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; the caller owns the returned arrays."""
        ...

    def close(self) -> None:
        """Free the network; running afterwards is an error."""
        ...
