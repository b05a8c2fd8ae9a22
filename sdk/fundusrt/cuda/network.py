"""What a GPU backend gives: a network that is loaded once and bound to each lane that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from fundusrt.cuda.arrays import DeviceArray
from fundusrt.cuda.lane import Lane
from fundusrt.manifest import NetworkSpec, TensorSpec

__all__ = ["BoundNetwork", "DeviceNetwork", "ManifestTensors"]


class BoundNetwork(Protocol):
    """A network on one lane, with device memory of its own for input and output.

    Attributes:
        input: (batch, C, h, w) float32; to be filled on the lane's stream.
        output: (batch, c, h, w) float32; there once `enqueue`'s work on the stream is done.
        notes: what is not as it should be though the answers are right, such as a refused capture.
    """

    @property
    def input(self) -> DeviceArray: ...

    @property
    def output(self) -> DeviceArray: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def enqueue(self) -> None:
        """Enqueue one run on the lane's stream."""
        ...

    def close(self) -> None:
        """Free what is the lane's own, such as an execution context; the stream is idle."""
        ...


class DeviceNetwork(Protocol):
    """A network in the GPU's memory, shared by all lanes. All calls come inside the device's `current`.

    Attributes:
        name: what runs, for the provenance.
        inputs: input tensors by name.
        outputs: output tensors by name.
        batch: images of one run, fixed.
    """

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def batch(self) -> int: ...

    def bind(self, lane: Lane) -> BoundNetwork:
        """Make the network ready to run on a lane."""
        ...

    def close(self) -> None:
        """Free the network; nothing of it is bound any more."""
        ...


class ManifestTensors:
    """The half of a `DeviceNetwork` that the manifest and the caller decide: one input, one output, a fixed batch."""

    _spec: NetworkSpec
    _batch: int

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """The one input."""
        return {self._spec.input.name: self._spec.input}

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """The one output."""
        return {self._spec.output.name: self._spec.output}

    @property
    def batch(self) -> int:
        """Images of one run."""
        return self._batch
