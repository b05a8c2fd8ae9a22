"""From the start of a process to its first answers.

Imports next to nothing at module level: what it imports would be part of what it measures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fundusrt.loading import AnyPipeline

__all__ = ["Milestones", "start_cold"]


class Milestones:
    """When a process was where, in milliseconds.

    Args:
        started_ns: `time.monotonic_ns()` just before the process was started; that clock is the machine's, not the
            process's.

    Attributes:
        wall: since the start, by moment: `imported`, `loaded`, `first_tile` (missing where the stages run on a GPU as
            one), `first_result`.
        cpu: processor time of the process up to the same moments.
        first_network: the first answer of each network, by name.
    """

    def __init__(self, started_ns: int) -> None:
        self._started_ns = started_ns
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.first_network: dict[str, float] = {}

    def since_start(self) -> float:
        """Return the milliseconds up to now."""
        return (time.monotonic_ns() - self._started_ns) / 1e6

    def reach(self, moment: str) -> None:
        """Note a moment, the first time."""
        if moment not in self.wall:
            self.wall[moment], self.cpu[moment] = self.since_start(), time.process_time_ns() / 1e6


def start_cold(started_ns: int, model: str, options: Mapping[str, Any], image: Path) -> tuple[AnyPipeline, Milestones]:
    """Load a bundle and answer one image, in a process that has done nothing else.

    Args:
        started_ns: of `Milestones`.
        model: as of `fundusrt.load`.
        options: the same.
        image: the image file.

    Returns:
        The pipeline, open, and when it was where.
    """
    import fundusrt

    reached = Milestones(started_ns)
    reached.reach("imported")
    pipeline = fundusrt.load(model, **options)
    reached.reach("loaded")
    from fundusrt.bench.observed_session import observed

    networks = pipeline.manifest.networks
    tile = next((name for name, spec in networks.items() if spec.role == "tile"), next(iter(networks)))

    def note(network: str, _: object) -> None:
        reached.first_network.setdefault(network, reached.since_start())
        if network == tile:
            reached.reach("first_tile")

    with observed(pipeline, note):
        pipeline(image)
    reached.reach("first_result")
    return pipeline, reached
