"""What SS-MAF and MAGE-Net share: one network over one frame around the field of view."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from fundusrt.manifest.bundle import BundleManifest, check_shape
from fundusrt.manifest.cmwnet import PreprocessSpec
from fundusrt.manifest.parts import Finite, Frozen, GoldenSpec, Positive, Side

__all__ = ["FrameGolden", "FrameManifest", "FrameSpec", "InputSpec"]


class InputSpec(Frozen, frozen=True):
    """Pixels to network input: values are divided by 255, then `(x - mean) / std`.

    `colour`: `rgb`, or `green`, the green channel alone. Grey images are what they are, either way. `channels`: planes
    of the network's input; one plane is repeated where it has three.
    """

    colour: Literal["rgb", "green"] = "rgb"
    channels: Literal[1, 3] = 3
    mean: tuple[Finite, Finite, Finite] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _colours_have_planes(self) -> Self:
        if self.colour == "rgb" and self.channels == 1:
            raise ValueError("channels: got 1 with colour rgb, expected 3, or colour green")
        return self

    def tensor_spec(self) -> PreprocessSpec:
        """Return what `fundusrt.preprocess.to_tensor` needs; contrast stays as it is."""
        return PreprocessSpec(channels=self.channels, clahe=None, gamma=1.0, mean=self.mean, std=self.std)


class FrameSpec(Frozen, frozen=True):
    """The frame: the smallest rectangle of this shape around the field of view, resized to `height_px` x `width_px`.

    It is centred on the field's bounding box and black where it leaves the image. `shrink` and `enlarge` name the
    interpolation; `outside` says whether pixels outside the field of view are `kept` or made `black`.
    """

    height_px: Side
    width_px: Side
    shrink: Literal["area", "bilinear"] = "area"
    enlarge: Literal["cubic", "bilinear"] = "cubic"
    outside: Literal["black", "kept"] = "black"


class FrameGolden(GoldenSpec, frozen=True):
    """Golden test vectors: `frame` is the uint8 frame."""

    frame: str

    @property
    def preprocessed(self) -> dict[str, str]:
        """File of each pre-processed uint8 array, by stage."""
        return {"frame": self.frame}


class FrameManifest(BundleManifest, frozen=True):
    """A bundle with one network, which sees the frame in one call."""

    input: InputSpec
    frame: FrameSpec
    golden: FrameGolden

    @property
    def network_name(self) -> str:
        """Name of the one network."""
        (name,) = self.network_roles
        return name

    @model_validator(mode="after")
    def _input_fits_the_frame(self) -> Self:
        tensor = self.networks[self.network_name].input
        place = f"networks.{self.network_name}.input"
        check_shape(place, tensor, self.input.channels, self.frame.height_px, self.frame.width_px)
        if isinstance(tensor.shape[0], int) and tensor.shape[0] != 1:
            raise ValueError(f"{place}: got {tensor.shape[0]} images at once, expected 1 or a free dimension")
        return self
