"""One GPU, its kernels, the networks on it, and a bounded pool of lanes that threads take turns on.

close:  bound networks (contexts, graphs)  ->  lanes (memory, streams)  ->  networks (engines)  ->  kernels
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from fundusrt.cuda.driver import CudaDevice
from fundusrt.cuda.kernels import KernelModule
from fundusrt.cuda.lane import Lane
from fundusrt.cuda.network import BoundNetwork, DeviceNetwork
from fundusrt.cuda.transfers import Transfers
from fundusrt.errors import BackendUnavailable
from fundusrt.provenance import GpuWork

__all__ = ["DEFAULT_LANES", "CudaRuntime", "LeasedLane"]

DEFAULT_LANES = 2
"""One image computes while another is copied, decoded or measured; more lanes cost memory and gain little."""

_WAIT_S = 600.0


@dataclass(frozen=True)
class LeasedLane:
    """A lane and the networks on it, for as long as it is leased."""

    lane: Lane
    networks: Mapping[str, BoundNetwork]

    def notes(self) -> tuple[str, ...]:
        """Return what the networks have to say, each once."""
        return tuple(dict.fromkeys(note for network in self.networks.values() for note in network.notes))


class CudaRuntime:
    """The GPU's side of one pipeline; several threads may lease lanes.

    Args:
        device: the GPU.
        open_networks: returns the networks by name; called once, inside the device's `current`.
        lanes: most lanes at a time; a thread that finds none free waits.

    Raises:
        BackendUnavailable: the GPU, its kernels or a network cannot be used.
    """

    def __init__(
        self,
        device: CudaDevice,
        open_networks: Callable[[CudaDevice], Mapping[str, DeviceNetwork]],
        *,
        lanes: int = DEFAULT_LANES,
    ) -> None:
        self.device = device
        self.lanes = lanes
        self._free: list[LeasedLane] = []
        self._made: list[LeasedLane] = []
        self._making = 0
        self._closed = False
        self._change = threading.Condition()
        with device.current():
            self._kernels = KernelModule(device)
            try:
                self.networks = dict(open_networks(device))
            except BaseException:
                self._kernels.close()
                raise
        try:
            with self.lease():  # makes the first lane: what refuses does so here, and the first image finds it warm
                pass
        except BaseException:
            self.close()
            raise

    @contextmanager
    def lease(self, wait_s: float = _WAIT_S) -> Generator[LeasedLane]:
        """Hold a lane for the block, inside the device's `current`; its stream is idle before and after.

        Raises:
            BackendUnavailable: closed, no lane became free in time, or CUDA failed.
        """
        with self.device.current():
            leased = self._take(wait_s)
            leased.lane.begin()
            try:
                yield leased
            finally:
                try:
                    leased.lane.synchronize()  # also after an error: what is under way uses the lane's memory
                finally:
                    with self._change:
                        self._free.append(leased)
                        self._change.notify()

    def work(self, transfers: Transfers, on_cpu: tuple[str, ...]) -> GpuWork:
        """Return what the provenance says of an image.

        Args:
            transfers: its bytes.
            on_cpu: its stages that ran on the CPU.
        """
        return GpuWork(
            name=self.device.gpu.name,
            uploads=transfers.uploads,
            uploaded_bytes=transfers.uploaded_bytes,
            downloads=transfers.downloads,
            downloaded_bytes=transfers.downloaded_bytes,
            on_cpu=on_cpu,
        )

    def close(self) -> None:
        """Wait for the lanes that are leased, then free everything; running afterwards is an error."""
        with self._change:
            if self._closed:
                return
            self._closed = True
            self._change.notify_all()
            self._change.wait_for(lambda: not self._making and len(self._free) == len(self._made), _WAIT_S)
            lanes, self._free = self._made, []
            self._made = []
        with self.device.current():
            for leased in lanes:
                for network in leased.networks.values():
                    network.close()
                leased.lane.close()
            for network in self.networks.values():
                network.close()
            self._kernels.close()

    def _take(self, wait_s: float) -> LeasedLane:
        with self._change:
            room = self._change.wait_for(
                lambda: self._closed or bool(self._free) or len(self._made) + self._making < self.lanes, wait_s
            )
            if self._closed:
                raise BackendUnavailable(
                    "GPU pipeline", got="a call after close()", expected="an open one", fix="load the pipeline again"
                )
            if not room:
                raise BackendUnavailable(
                    "GPU pipeline",
                    got=f"no lane free within {wait_s:g} s",
                    expected=f"one of {self.lanes}",
                    fix="load it with more lanes, or call it from fewer threads",
                )
            if self._free:
                return self._free.pop()
            self._making += 1
        try:
            leased = self._make()
        except BaseException:
            with self._change:
                self._making -= 1
                self._change.notify()
            raise
        with self._change:
            self._making -= 1
            self._made.append(leased)
        return leased

    def _make(self) -> LeasedLane:
        lane = Lane(self.device, self._kernels)
        bound: dict[str, BoundNetwork] = {}
        try:
            for name, network in self.networks.items():
                bound[name] = network.bind(lane)
        except BaseException:
            for network in bound.values():
                network.close()
            lane.close()
            raise
        return LeasedLane(lane, bound)
