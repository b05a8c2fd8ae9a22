"""Wall time of the stages of one image."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["StageTimer"]


class StageTimer:
    """Adds up milliseconds by stage name, in the order the stages first ended.

    A stage inside another is taken out of it, so that the stages of an image add up to its time. One thread at a time.
    """

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._inside = 0.0  # what the stages inside the open one took

    @contextmanager
    def stage(self, name: str) -> Generator[None, None, None]:
        """Time the block under `name`."""
        outer, self._inside = self._inside, 0.0
        start = time.perf_counter()
        try:
            yield
        finally:
            whole = 1000.0 * (time.perf_counter() - start)
            self.ms[name] = self.ms.get(name, 0.0) + whole - self._inside
            self._inside = outer + whole
