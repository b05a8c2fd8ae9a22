"""What the SDK asks of a system beside running it: make its pipeline, compare its golden vectors, describe a bundle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fundusrt.agreement import at_most, largest_difference, share_off
from fundusrt.backends.base import InferenceSession
from fundusrt.certificate import Measurement
from fundusrt.image import FundusImage
from fundusrt.image_pipeline import ImagePipeline
from fundusrt.manifest import BundleManifest
from fundusrt.result_files import Result

if TYPE_CHECKING:
    from fundusrt.bundle import Bundle

__all__ = ["Comparison", "System", "compare_map", "compare_mask", "recorded"]

Bytes = npt.NDArray[np.uint8]
M = TypeVar("M", bound=BundleManifest)
P = TypeVar("P", bound=ImagePipeline[Any, Result])

# PyTorch to a runtime in fp32: 1e-4 of the output range, which is 1.
MAX_MAP_DIFFERENCE = 1e-4
# Pixels whose probability lies within that difference of the threshold may flip; on a real map they are this rare.
MAX_FLIPPED = 1e-4


class Comparison(NamedTuple):
    """One rung of a bundle's golden vectors on this machine."""

    name: str
    compares: str
    measurement: Measurement


class System(ABC, Generic[M, P]):
    """One system.

    Attributes:
        result: what its pipeline returns.
        has_sample: whether the shipped sample image, an angiogram, is one for it.
    """

    result: ClassVar[type[Result]]
    has_sample: ClassVar[bool] = False

    @abstractmethod
    def pipeline(
        self,
        manifest: M,
        sessions: Mapping[str, InferenceSession],
        identity: dict[str, Any],
        max_megapixels: float | None = None,
    ) -> P:
        """Return the pipeline over open sessions, by the manifest's names."""

    @abstractmethod
    def preprocessed(self, manifest: M, eye: FundusImage) -> dict[str, Bytes]:
        """Return the pre-processed uint8 arrays of an image, by the stages of the manifest's golden vectors."""

    @abstractmethod
    def compare(self, pipeline: P, bundle: Bundle, eye: FundusImage) -> list[Comparison]:
        """Run the golden image `eye` and compare each stage's answer with the recorded one."""

    @abstractmethod
    def describe(self, manifest: M) -> list[tuple[str, str]]:
        """Return what a reader of the manifest wants to know, as short titles and texts."""


def recorded(bundle: Bundle, name: str) -> Bytes:
    """Return a recorded pre-processed array."""
    return np.asarray(bundle.read_array(name), np.uint8)


def compare_map(name: str, made: npt.NDArray[np.float32], bundle: Bundle, recorded: str, what: str) -> Comparison:
    """Compare a network's float32 answer with the recorded one."""
    difference = largest_difference(bundle.read_array(recorded), made)
    figure = at_most(f"max abs {what} difference", difference, MAX_MAP_DIFFERENCE)
    return Comparison(name, "golden and this machine's map", figure)


def compare_mask(mask: npt.NDArray[np.bool_], bundle: Bundle, recorded: str) -> Comparison:
    """Compare a mask with the recorded one."""
    flipped = share_off(bundle.read_image(recorded), mask.astype(np.uint8) * np.uint8(255), 0)
    figure = at_most("flipped pixel share", flipped, MAX_FLIPPED)
    return Comparison("mask", "golden and this machine's mask", figure)
