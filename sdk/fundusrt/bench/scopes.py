"""What is timed: the bare networks, everything from a decoded image to the answer, or from file to written files.

| scope | from | to |
|---|---|---|
| `network` | prepared tensors | every network's answer to one image |
| `device` | a decoded image with its field of view, in memory | the answer, in memory |
| `end_to_end` | an image file | the written result files |
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fundusrt.backends.base import Array
from fundusrt.bench.clock import Clock
from fundusrt.bench.observed_session import observed
from fundusrt.bench.report import Scope
from fundusrt.enhancement_result import EnhancementResult
from fundusrt.image import FundusImage
from fundusrt.image_pipeline import ImagePipeline
from fundusrt.result_files import Result
from fundusrt.results import SegmentationResult

__all__ = ["DeviceWork", "Done", "EndToEndWork", "NetworkStages", "NetworkWork", "Work", "answer_arrays", "open_works"]

Answer = tuple[npt.NDArray[Any], ...]
AnyPipeline = ImagePipeline[Any, Result]

# Different inputs of one network and image that are kept; more calls than that take turns on them.
_KEPT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Done:
    """What one call gave.

    Attributes:
        answer: to be compared with what other calls gave for the same image.
        stages_ms: of this call; None where it has none.
        own_ms: the time where the clock around the call would be the wrong one; None elsewhere.
    """

    answer: Answer
    stages_ms: dict[str, float] | None = None
    own_ms: float | None = None


class Work(Protocol):
    """What is done for one image, by its index; several threads may call it."""

    @property
    def scope(self) -> Scope:
        """Which scope this is."""
        ...

    def __call__(self, image: int) -> Done:
        """Do it once."""
        ...


class NetworkWork:
    """Every network call of an image, on the tensors that the pipeline would feed, and nothing else.

    Args:
        pipeline: its sessions run; the tensors are taken from one run of each image.
        eyes: the images. Of each, up to 64 MiB of tensors a network are kept.
    """

    scope: Scope = "network"

    def __init__(self, pipeline: AnyPipeline, eyes: Sequence[FundusImage]) -> None:
        self._pipeline = pipeline
        self._calls = [_calls(pipeline, eye) for eye in eyes]

    def __call__(self, image: int) -> Done:
        """Make the calls one after the other."""
        sessions = self._pipeline.sessions
        answers = [sessions[network].run(feeds) for network, feeds in self._calls[image]]
        return Done(tuple(array for answer in answers for array in answer.values()))


class NetworkStages:
    """The network stages of a pipeline on a GPU, as its results say: by the events on its stream where it has them."""

    scope: Scope = "network"

    def __init__(self, pipeline: AnyPipeline, eyes: Sequence[FundusImage]) -> None:
        self._pipeline, self._eyes = pipeline, eyes

    def __call__(self, image: int) -> Done:
        """Run the whole pipeline, and take the time of its networks."""
        result = self._pipeline(self._eyes[image])
        ms = sum(spent for stage, spent in result.timings_ms.items() if stage.startswith("network"))
        return Done(answer_arrays(result), own_ms=ms)


class DeviceWork:
    """What an imaging device asks for: the answer to an image that it has in memory."""

    scope: Scope = "device"

    def __init__(self, pipeline: AnyPipeline, eyes: Sequence[FundusImage]) -> None:
        self._pipeline, self._eyes = pipeline, eyes

    def __call__(self, image: int) -> Done:
        """Run one image."""
        result = self._pipeline(self._eyes[image])
        return Done(answer_arrays(result), dict(result.timings_ms))


class EndToEndWork:
    """From an image file to the files of its result.

    Args:
        pipeline: runs the image.
        files: the images.
        folder: takes the results; those of an earlier call are replaced.
        clock: times the stage `write`, which the pipeline does not know.
    """

    scope: Scope = "end_to_end"

    def __init__(self, pipeline: AnyPipeline, files: Sequence[Path], folder: Path, clock: Clock) -> None:
        self._pipeline, self._files, self._folder, self._clock = pipeline, files, folder, clock

    def __call__(self, image: int) -> Done:
        """Run one image and write its result, under a name of this thread's own."""
        result = self._pipeline(self._files[image])
        start = self._clock.wall_ns()
        result.save(self._folder, f"{image}-{threading.get_ident()}")
        write = (self._clock.wall_ns() - start) / 1e6
        return Done(answer_arrays(result), {**result.timings_ms, "write": write})


def open_works(
    pipeline: AnyPipeline, scopes: Sequence[Scope], files: Sequence[Path], folder: Path, clock: Clock
) -> list[Work]:
    """Return the work of each scope, in the order asked for."""
    eyes = [pipeline.open_image(file) for file in files] if set(scopes) & {"network", "device"} else []
    works: list[Work] = []
    for scope in scopes:
        if scope == "end_to_end":
            works.append(EndToEndWork(pipeline, files, folder, clock))
        elif scope == "device":
            works.append(DeviceWork(pipeline, eyes))
        else:
            works.append((NetworkStages if _on_gpu(pipeline) else NetworkWork)(pipeline, eyes))
    return works


def answer_arrays(result: Result) -> Answer:
    """Return the arrays of a result that say what was found."""
    if isinstance(result, SegmentationResult):
        return result.mask, result.probability
    if isinstance(result, EnhancementResult):
        return (result.image,)
    raise TypeError(f"{type(result).__name__} has no arrays that this file knows")


def _on_gpu(pipeline: AnyPipeline) -> bool:
    from fundusrt.backends.device_session import DeviceSession

    return any(isinstance(session, DeviceSession) for session in pipeline.sessions.values())


def _calls(pipeline: AnyPipeline, eye: FundusImage) -> list[tuple[str, Mapping[str, Array]]]:
    """Return what each network is fed for an image, call by call."""
    seen: dict[str, list[Mapping[str, Array]]] = {name: [] for name in pipeline.sessions}
    order: list[tuple[str, int]] = []
    counts = dict.fromkeys(seen, 0)

    def keep(network: str, feeds: Mapping[str, Array]) -> None:
        kept = seen[network]
        if not kept or (len(kept) + 1) * sum(feed.nbytes for feed in feeds.values()) <= _KEPT_BYTES:
            kept.append({name: np.ascontiguousarray(feed) for name, feed in feeds.items()})
        order.append((network, counts[network]))
        counts[network] += 1

    with observed(pipeline, keep):
        pipeline(eye)
    return [(network, seen[network][call % len(seen[network])]) for network, call in order]
