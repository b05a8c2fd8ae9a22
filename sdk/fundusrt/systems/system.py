"""What the SDK asks of a system beside running it: make its pipeline, compare its golden vectors, describe a bundle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fundusrt.agreement import largest_difference, measured, share_off
from fundusrt.backends.base import InferenceSession
from fundusrt.certificate import Measurement
from fundusrt.image import FundusImage
from fundusrt.image_pipeline import ImagePipeline
from fundusrt.manifest import BundleManifest
from fundusrt.result_files import Result
from fundusrt.task_agreement import mask_figures

if TYPE_CHECKING:
    from fundusrt.bundle import Bundle
    from fundusrt.cuda.runtime import CudaRuntime

__all__ = ["Comparison", "Figure", "GoldenAnswer", "System", "compare_map", "compare_mask", "recorded", "task_figures"]

Bytes = npt.NDArray[np.uint8]
M = TypeVar("M", bound=BundleManifest)
P = TypeVar("P", bound=ImagePipeline[Any, Result])


class Figure(NamedTuple):
    """A figure of this machine.

    Attributes:
        measurement: what was measured here.
        certified: rung and metric of the certificate that say the same of the export; empty where nothing does.
    """

    measurement: Measurement
    certified: tuple[str, str] = ("", "")


class Comparison(NamedTuple):
    """One rung of a bundle's golden vectors on this machine."""

    name: str
    compares: str
    figures: tuple[Figure, ...]


class GoldenAnswer(NamedTuple):
    """What a network answers to its golden input.

    Attributes:
        window: (H, W[, 3]) uint8, the pre-processed input.
        expected: (C, h, w) float32, recorded in float32.
        made: the same of this machine.
    """

    window: Bytes
    expected: npt.NDArray[np.float32]
    made: npt.NDArray[np.float32]


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
        batch: int = 1,
    ) -> P:
        """Return the pipeline over open sessions, by the manifest's names; `batch`: tiles of one call."""

    def cuda_pipeline(
        self, manifest: M, runtime: CudaRuntime, identity: dict[str, Any], max_megapixels: float | None = None
    ) -> P:
        """Return the pipeline over networks on a GPU, which it closes.

        Unless a system has stages on the device, its networks run there and everything else on the CPU.
        """
        from fundusrt.backends.device_session import DeviceSession

        sessions = {name: DeviceSession(runtime, name) for name in manifest.networks}
        return self.pipeline(manifest, sessions, identity, max_megapixels)

    @abstractmethod
    def preprocessed(self, manifest: M, eye: FundusImage) -> dict[str, Bytes]:
        """Return the pre-processed uint8 arrays of an image, by the stages of the manifest's golden vectors."""

    @abstractmethod
    def compare(self, pipeline: P, bundle: Bundle, eye: FundusImage) -> list[Comparison]:
        """Run the golden image `eye` and compare each stage's answer with the recorded one."""

    @abstractmethod
    def golden_answers(self, pipeline: P, bundle: Bundle) -> dict[str, GoldenAnswer]:
        """Run each network on its golden input; by the networks' names."""

    @abstractmethod
    def threshold(self, manifest: M) -> float | None:
        """Return the probability from which a pixel is marked; None where the answer is an image."""

    @abstractmethod
    def describe(self, manifest: M) -> list[tuple[str, str]]:
        """Return what a reader of the manifest wants to know, as short titles and texts."""


def recorded(bundle: Bundle, name: str) -> Bytes:
    """Return a recorded pre-processed array."""
    return np.asarray(bundle.read_array(name), np.uint8)


def compare_map(name: str, answer: GoldenAnswer, *, certified: tuple[str, str]) -> Comparison:
    """Compare a network's float32 answer with the recorded one.

    Args:
        name: of the rung.
        answer: this machine's and the recorded one.
        certified: rung and metric of the certificate that measured the same.
    """
    difference = largest_difference(answer.expected, answer.made)
    figure = Figure(measured("network", "difference", difference), certified)
    return Comparison(name, "golden and this machine's map", (figure,))


def compare_mask(mask: npt.NDArray[np.bool_], bundle: Bundle, recorded: str, *, certified: str) -> Comparison:
    """Compare a mask with the recorded one.

    Args:
        mask: (H, W), this machine's.
        bundle: holds the recorded one.
        recorded: its file.
        certified: rung of the certificate that measured the share of differing pixels.
    """
    golden = bundle.read_image(recorded)
    flipped = share_off(golden, mask.astype(np.uint8) * np.uint8(255), 0)
    share = Figure(measured("mask", "flipped", flipped), (certified, "mask: share of pixels that differ"))
    return Comparison("mask", "golden and this machine's mask", (share, *task_figures(mask_figures(golden > 0, mask))))


def task_figures(measurements: list[Measurement]) -> tuple[Figure, ...]:
    """Return figures that the certificate has, under the same names, in its rung `task`."""
    return tuple(Figure(each, ("task", each.metric)) for each in measurements)
