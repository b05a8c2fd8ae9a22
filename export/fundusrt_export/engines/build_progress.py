"""Progress of a build, and its end before time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["BuildProgress", "Silent", "progress_monitor"]


class BuildProgress(Protocol):
    """What hears of the phases of a build; they are nested, and called from the builder's threads."""

    def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase begins, inside another or outermost."""
        ...

    def step_complete(self, phase: str, step: int) -> None:
        """Step number `step` of a phase is done, from 0."""
        ...

    def phase_finish(self, phase: str) -> None:
        """A phase ends, also when the build was cancelled."""
        ...


class Silent:
    """Hears and does nothing."""

    def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase begins."""

    def step_complete(self, phase: str, step: int) -> None:
        """A step is done."""

    def phase_finish(self, phase: str) -> None:
        """A phase ends."""


def progress_monitor(
    trt: Any,
    progress: BuildProgress,
    stop: threading.Event,
    cancelled: Callable[[], bool] | None,
    raised: list[BaseException],
) -> Any:
    """Return the package's monitor: it hands events on, and tells the builder at each step whether to go on.

    The bindings print an exception of a monitor and drop it, so the monitor keeps it and ends the build.

    Args:
        trt: the `tensorrt` or `tensorrt_rtx` module.
        progress: hears of the phases.
        stop: ends the build at its next step once it is set; the monitor sets it when `cancelled` says so.
        cancelled: asked at each step; None to never cancel.
        raised: takes what `progress` and `cancelled` raise, in order, for the caller to raise again.
    """

    @contextmanager
    def kept() -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            raised.append(error)
            stop.set()

    class Monitor(trt.IProgressMonitor):
        """A monitor of the package's own base class, which exists once the package is imported."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """Hand on the begin of a phase."""
            with kept():
                progress.phase_start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Hand on a step; False ends the build."""
            with kept():
                progress.step_complete(phase_name, step)
                if cancelled is not None and cancelled():
                    stop.set()
            return not stop.is_set()

        def phase_finish(self, phase_name: str) -> None:
            """Hand on the end of a phase."""
            with kept():
                progress.phase_finish(phase_name)

    return Monitor()
