"""The clocks of a benchmark."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Two clocks, in nanoseconds of no particular beginning."""

    def wall_ns(self) -> int:
        """Return the time."""
        ...

    def cpu_ns(self) -> int:
        """Return the processor time that all threads of this process have had."""
        ...


class SystemClock:
    """The clocks of this machine: `time.perf_counter_ns` and `time.process_time_ns`."""

    def wall_ns(self) -> int:
        """Return the time."""
        return time.perf_counter_ns()

    def cpu_ns(self) -> int:
        """Return the processor time that all threads of this process have had."""
        return time.process_time_ns()
