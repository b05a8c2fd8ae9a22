"""From the start of a process to its first answers.

Imports next to nothing at module level: what it imports would be part of what it measures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fundusrt.loading import AnyPipeline

__all__ = ["Milestones", "start_cold"]


@dataclass
class Milestones:
    """Milliseconds since the process was started.

    Attributes:
        imported: `fundusrt` is imported.
        loaded: the pipeline is open.
        first_network: the first answer of each network, by name; empty where the stages run on a GPU as one.
        first_result: the first image is answered.
        tile_network: the network that sees tiles, or the only one.
    """

    imported: float
    loaded: float = 0.0
    first_network: dict[str, float] = field(default_factory=dict[str, float])
    first_result: float = 0.0
    tile_network: str = ""


def start_cold(started_ns: int, model: str, options: Mapping[str, Any], image: Path) -> tuple[AnyPipeline, Milestones]:
    """Load a bundle and answer one image, in a process that has done nothing else.

    Args:
        started_ns: `time.monotonic_ns()` just before the process was started; that clock is the machine's, not the
            process's.
        model: as of `fundusrt.load`.
        options: the same.
        image: the image file.

    Returns:
        The pipeline, open, and when it was where.
    """

    def now() -> float:
        return (time.monotonic_ns() - started_ns) / 1e6

    import fundusrt

    reached = Milestones(now())
    pipeline = fundusrt.load(model, **options)
    reached.loaded = now()
    from fundusrt.bench.observed_session import observed

    def note(network: str, _: object) -> None:
        reached.first_network.setdefault(network, now())

    with observed(pipeline, note):
        pipeline(image)
    reached.first_result = now()
    networks = pipeline.manifest.networks
    tiles = [name for name, spec in networks.items() if spec.role == "tile"]
    reached.tile_network = (tiles or list(networks))[0]
    return pipeline, reached
