"""A network on the GPU as a session that takes and gives host arrays: for the stages that stay on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fundusrt.backends.base import Array
from fundusrt.errors import BackendUnavailable
from fundusrt.manifest import TensorSpec
from fundusrt.provenance import GpuWork

if TYPE_CHECKING:
    from fundusrt.cuda.runtime import CudaRuntime

__all__ = ["DeviceSession"]


class DeviceSession:
    """One network of a `CudaRuntime`; several threads may run it. Closing it closes the runtime.

    Args:
        runtime: holds the network.
        network: its name there.
    """

    def __init__(self, runtime: CudaRuntime, network: str) -> None:
        self.runtime = runtime
        self._network = network
        self._spec = runtime.networks[network]
        self._last = threading.local()

    @property
    def name(self) -> str:
        """What runs."""
        return self._spec.name

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Input tensors by name."""
        return self._spec.inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Output tensors by name."""
        return self._spec.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run any number of images, in batches of the network's; the caller owns the returned arrays.

        Raises:
            BackendUnavailable: closed, an input of another name, type or shape, or CUDA failed.
        """
        ((input_name, spec),) = self.inputs.items()
        ((output_name, _),) = self.outputs.items()
        feed = feeds.get(input_name)
        if feed is None or len(feeds) != 1 or feed.dtype != np.float32 or feed.shape[1:] != spec.shape[1:]:
            got = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in feeds.items()) or "none"
            raise BackendUnavailable(
                f"network {self._network!r} on {self.name}",
                got=got,
                expected=f"{input_name} float32 {spec.shape}",
                fix="run `fundusrt verify` on this machine",
            )
        answers: list[Array] = []
        with self.runtime.lease() as leased:
            bound = leased.networks[self._network]
            for first in range(0, len(feed), self._spec.batch):
                part = feed[first : first + self._spec.batch]
                (sent,) = leased.lane.upload("session input", part)
                if len(part) < self._spec.batch:
                    leased.lane.zero(bound.input)
                leased.lane.copy(sent, bound.input.first(len(part)))
                bound.enqueue()
                answers.append(leased.lane.download(bound.output.first(len(part))).copy())
            self._last.transfers, self._last.notes = leased.lane.transfers, bound.notes
        return {output_name: np.concatenate(answers) if len(answers) != 1 else answers[0]}

    def last_work(self, on_cpu: tuple[str, ...]) -> tuple[GpuWork, tuple[str, ...]]:
        """Return what the calling thread's last run sent to the GPU and back, and the network's notes.

        Args:
            on_cpu: stages of the image that ran on the CPU.
        """
        return self.runtime.work(self._last.transfers, on_cpu), self._last.notes

    def close(self) -> None:
        """Free the runtime with all its networks."""
        self.runtime.close()
