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

    All lanes are made, and each network runs once on each, before the constructor returns: what refuses does so then,
    the first image finds everything warm, and no graph is captured while images are under way.

    Args:
        device: the GPU.
        open_networks: returns the networks by name; called once, inside the device's `current`.
        lanes: images at a time; a thread that finds no lane free waits.

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
        self.networks: dict[str, DeviceNetwork] = {}
        self._made: list[LeasedLane] = []
        self._free: list[LeasedLane] = []
        self._closed = False
        self._change = threading.Condition()
        with device.current():
            self._kernels = KernelModule(device)
            try:
                self.networks = dict(open_networks(device))
                for _ in range(lanes):
                    self._made.append(self._make())
            except BaseException:
                self._release()
                raise
        self._free = list(self._made)

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

    def close(self, wait_s: float = _WAIT_S) -> None:
        """Wait for the lanes that are leased, then free everything; running afterwards is an error.

        Raises:
            BackendUnavailable: a lane did not come back in time. Nothing is freed, since work may use it.
        """
        with self._change:
            if self._closed:
                return
            self._closed = True
            self._change.notify_all()
            if not self._change.wait_for(lambda: len(self._free) == len(self._made), wait_s):
                self._closed = False
                raise BackendUnavailable(
                    "GPU pipeline",
                    got=f"close() with {len(self._made) - len(self._free)} lanes in use for {wait_s:g} s",
                    expected="every call to have returned",
                    fix="close it after the threads that call it",
                )
        with self.device.current():
            self._release()

    def _release(self) -> None:
        for leased in self._made:
            for network in leased.networks.values():
                network.close()
            leased.lane.close()
        for network in self.networks.values():
            network.close()
        self._kernels.close()
        self._made.clear()
        self._free.clear()

    def _take(self, wait_s: float) -> LeasedLane:
        with self._change:
            room = self._change.wait_for(lambda: self._closed or bool(self._free), wait_s)
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
            return self._free.pop()

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
