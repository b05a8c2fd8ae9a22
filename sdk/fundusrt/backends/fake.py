"""A session made of a Python function: for tests, and for integrators who test their own code without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fundusrt.backends.base import Array
from fundusrt.errors import BackendUnavailable
from fundusrt.manifest import TensorSpec

__all__ = ["FakeSession"]


class FakeSession:
    """Runs `function` on the first input and records every batch shape it saw.

    Args:
        function: (N, C, H, W) float32 to (N, 1, H, W) float32.
        input_spec: the one input.
        output_spec: the one output.
    """

    name = "fake"

    def __init__(self, function: Callable[[Array], Array], input_spec: TensorSpec, output_spec: TensorSpec) -> None:
        self._function: Callable[[Array], Array] | None = function
        self._input = input_spec
        self._output = output_spec
        self.shapes: list[tuple[int, ...]] = []

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Input tensors by name."""
        return {self._input.name: self._input}

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Output tensors by name."""
        return {self._output.name: self._output}

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Apply the function."""
        if self._function is None:
            raise BackendUnavailable(
                "fake session", got="a call after close()", expected="an open session", fix="load the pipeline again"
            )
        self.shapes.append(feeds[self._input.name].shape)
        return {self._output.name: self._function(feeds[self._input.name])}

    def close(self) -> None:
        """Forget the function."""
        self._function = None
