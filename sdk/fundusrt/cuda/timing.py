"""Time of the stages on the device, by events on the lane's stream."""

from __future__ import annotations

from typing import Any

from fundusrt.cuda.lane import Lane

__all__ = ["DeviceTimer"]


class DeviceTimer:
    """Marks the ends of stages on a lane's stream; a stage goes from the mark before to its own.

    Nothing waits for a mark. Where the host keeps the stream waiting, as while it copies the image to pinned memory,
    the wait is part of the stage. Events belong to the device's `current`, so take the times inside the lease.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._marks: list[tuple[str, Any]] = [("", lane.event())]

    def mark(self, stage: str) -> None:
        """End a stage with what was enqueued so far; several marks of one name add up."""
        self._marks.append((stage, self._lane.event()))

    def take(self) -> dict[str, float]:
        """Wait for the stream, and return milliseconds by stage in the order they first ended. Once only."""
        self._lane.synchronize()
        ms: dict[str, float] = {}
        for (_, begin), (stage, end) in zip(self._marks, self._marks[1:], strict=False):
            ms[stage] = ms.get(stage, 0.0) + float(end.time_since(begin))
        self._marks.clear()
        return ms
