"""What made a result, and whether the image could be graded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

__all__ = ["FrameProvenance", "GpuWork", "Provenance", "Quality", "TiledProvenance", "Tuning"]


@dataclass(frozen=True)
class Quality:
    """Whether the image could be graded at all; `reasons` says why not."""

    gradable: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GpuWork:
    """What went to a GPU and back for one image, and what was not done there.

    Attributes:
        name: the GPU, as its driver says it.
        uploads: copies to it.
        uploaded_bytes: their bytes.
        downloads: copies from it.
        downloaded_bytes: their bytes.
        on_cpu: stages of `timings_ms` that ran on the CPU.
    """

    name: str
    uploads: int
    uploaded_bytes: int
    downloads: int
    downloaded_bytes: int
    on_cpu: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The setting that `threads="tuned"` stood for.

    Attributes:
        threads: of one network call; None where the runtime's own choice was the fastest.
        batch: tiles of one network call; None for one.
        measured: when, UTC.
        record: name of the file in the cache folder that says what was measured.
    """

    threads: int | None
    batch: int | None
    measured: str
    record: str


@dataclass(frozen=True, kw_only=True)
class Provenance(ABC):
    """What made a result: enough to make it again, and to see that nothing else ran than was asked for.

    `gpu` is None where everything ran on the CPU, and for an image that no network saw; `tuning` unless it was asked
    for.
    """

    bundle: str
    bundle_version: str
    bundle_sha256: str
    backend: str
    provider: str
    device: str
    precision: str
    source: str
    image_px: tuple[int, int]
    bit_depth: int
    options: dict[str, Any]
    versions: dict[str, str]
    warnings: tuple[str, ...] = ()
    gpu: GpuWork | None = None
    tuning: Tuning | None = None

    @abstractmethod
    def work(self) -> str:
        """Return what the networks were given, in a few words."""


@dataclass(frozen=True, kw_only=True)
class TiledProvenance(Provenance):
    """Of a system that cuts tiles: the grid they cover and their number; (0, 0) and 0 where none was cut."""

    grid_px: tuple[int, int]
    tiles: int

    def work(self) -> str:
        """Return the number of tiles."""
        return f"{self.tiles} tiles + 1 whole image"


@dataclass(frozen=True, kw_only=True)
class FrameProvenance(Provenance):
    """Of a system that sees one frame.

    `frame`: its half-open box (y0, x0, y1, x1) in px of the image, which it may leave; None where nothing was framed.
    `input_px`: height and width of the network's input.
    """

    frame: tuple[int, int, int, int] | None
    input_px: tuple[int, int]

    def work(self) -> str:
        """Return the size of the frame."""
        return f"1 frame of {self.input_px[0]} x {self.input_px[1]} px"
