"""SS-MAF's training pairs: a low-resolution input, the high-resolution image and mask it stands for.

    photograph, mask -> augment at full size [-> window] -> HR: cubic (mask nearest) -> (x - mean) / std
                                                         -> LR: cubic, of the same augmented photograph

A pair is a pure function of its case and its seed. A grey photograph is worked on as one plane, and where the network
sees one plane three times (`channels` `green`), one plane is handed on: a third of the work and of what moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fundusrt.errors import UsageError
from fundusrt.image import read_image
from fundusrt.preprocess import to_8_bit
from fundusrt_training.data.augmentation import AugmentationConfig, AugmentationDraw, draw_augmentation, jitter
from fundusrt_training.data.camera import CameraAugmentation, through_another_camera
from fundusrt_training.data.exudates.case import ExudateCase, Mask

__all__ = ["ExudateAugmentation", "ExudateBatch", "ExudatePairs", "PairConfig", "PairDraw", "network_input"]

Photograph = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PairConfig:
    """Sizes (height, width) in px, and the normalisation of input and high-resolution target alike.

    Args:
        hr: of the outputs.
        lr: of the input.
        mean: subtracted from values in [0, 1].
        std: divided by.
        channels: `rgb`, or `green`: the green channel, repeated; a grey photograph is the same either way.
        window: in px of the photograph: training sees random windows of it, enlarged or reduced to `lr` and `hr`; null,
            as in the paper, for the whole.
        window_marked: probability that a window is placed around an exudate.
        repeats: times each photograph is seen in an epoch.
    """

    hr: tuple[int, int] = (960, 1440)
    lr: tuple[int, int] = (480, 720)
    mean: float = 0.5
    std: float = 0.5
    channels: Literal["rgb", "green"] = "rgb"
    window: tuple[int, int] | None = None
    window_marked: float = 0.5
    repeats: int = 1

    def __post_init__(self) -> None:
        for name in ("hr", "lr"):
            if min(getattr(self, name)) < 16:
                raise UsageError(f"data.{name}", got=getattr(self, name), expected="two sides of at least 16 px")
        if self.hr[0] * self.lr[1] != self.hr[1] * self.lr[0] or self.hr[0] % self.lr[0]:
            raise UsageError("data.hr", got=f"{self.hr} for data.lr {self.lr}", expected="a whole multiple of data.lr")
        if not self.std > 0:
            raise UsageError("data.std", got=self.std, expected="above 0")
        if self.channels not in ("rgb", "green"):
            raise UsageError("data.channels", got=repr(self.channels), expected="rgb or green")
        if self.window is not None and min(self.window) < 16:
            raise UsageError("data.window", got=self.window, expected="two sides of at least 16 px, or null")
        if not 0 <= self.window_marked <= 1:
            raise UsageError("data.window_marked", got=self.window_marked, expected="a probability, 0 to 1")
        if self.repeats < 1:
            raise UsageError("data.repeats", got=self.repeats, expected="at least 1")

    def input_size(self, height: int, width: int, divisor: int) -> tuple[int, int]:
        """Return the size of the input that stands for a whole photograph of (height, width) px.

        It is `lr`, or with windows the photograph's own size at the scale they are seen at, in multiples of `divisor`.
        """
        if self.window is None:
            return self.lr
        sides = zip((height, width), self.lr, self.window, strict=True)
        return tuple(max(1, round(side * lr / window / divisor)) * divisor for side, lr, window in sides)  # pyright: ignore


@dataclass(frozen=True)
class ExudateAugmentation:
    """Strengths; each of the four steps happens with probability `p`.

    Args:
        p: probability of colour, of either flip, and of shift with rotation.
        jitter: brightness, contrast, saturation, hue, as in `AugmentationConfig`.
        shift: largest shift, as a part of each side.
        rotate: largest rotation in degrees.
        zoom: z > 0 scales by a factor log-uniform in [1 / (1 + z), 1 + z], together with shift and rotation; not in the
            paper.
    """

    p: float = 0.5
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    shift: float = 0.1
    rotate: float = 60.0
    zoom: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise UsageError("aug.p", got=self.p, expected="a probability, 0 to 1")
        if not 0 <= self.shift < 1:
            raise UsageError("aug.shift", got=self.shift, expected="0 to below 1")
        if not 0 <= self.rotate <= 180:
            raise UsageError("aug.rotate", got=self.rotate, expected="0 to 180 degrees")
        if not self.zoom >= 0:
            raise UsageError("aug.zoom", got=self.zoom, expected="at least 0")
        AugmentationConfig(jitter=self.jitter)


class PairDraw(NamedTuple):
    """Which case, and the seed of everything done to it; no seed: nothing is."""

    case: int
    seed: tuple[int, ...] | None


class ExudateBatch(TypedDict):
    """One step's data.

    Keys:
        lr: (N, C, h, w) float32, normalised; C is 1 with `channels` `green`, which the network sees three times, or 3.
        hr: (N, C, H, W) float32, normalised; the same C.
        labels: (N, H, W) uint8, 1 where exudates are.
        name: names of the cases.
    """

    lr: Tensor
    hr: Tensor
    labels: Tensor
    name: list[str]


class ExudatePairs(Dataset[dict[str, "Tensor | str"]]):
    """Pairs by `PairDraw`.

    Args:
        cases: what the draws index.
        config: sizes and normalisation.
        augmentation: strengths.
        camera: what else may change, as between cameras.
        divisor: sides of an input are multiples of it.
        keep: bytes of decoded photographs and masks that are kept in memory; the others are read at every turn.
    """

    def __init__(
        self,
        cases: Sequence[ExudateCase],
        config: PairConfig,
        augmentation: ExudateAugmentation,
        camera: CameraAugmentation | None = None,
        divisor: int = 16,
        keep: int = 0,
    ) -> None:
        self.cases = cases
        self.config = config
        self.augmentation = augmentation
        self.camera = camera or CameraAugmentation()
        self.divisor = divisor
        self._kept: dict[int, tuple[Photograph, Mask]] = {}
        self._room = keep

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, draw: PairDraw) -> dict[str, Tensor | str]:
        case, config = self.cases[draw.case], self.config
        photograph, mask = self._read(draw.case)
        lr, hr = config.lr, config.hr
        if draw.seed is not None:
            photograph = through_another_camera(photograph, self.camera, (*draw.seed, 2))
            photograph, mask = augment(photograph, mask, self.augmentation, draw.seed)
            if config.window is not None:
                photograph, mask = window(photograph, mask, config.window, config.window_marked, (*draw.seed, 3))
        elif config.window is not None:
            lr = config.input_size(mask.shape[0], mask.shape[1], self.divisor)
            hr = (lr[0] * config.hr[0] // config.lr[0], lr[1] * config.hr[1] // config.lr[1])
        photograph = _seen(photograph, config)
        labels = _resize(mask.astype(np.uint8), hr, cv2.INTER_NEAREST)
        return {
            "lr": _normal(_resize(photograph, lr, cv2.INTER_CUBIC), config),
            "hr": _normal(_resize(photograph, hr, cv2.INTER_CUBIC), config),
            "labels": torch.from_numpy(labels),
            "name": case.name,
        }

    def read_ahead(self) -> None:
        """Read all that is kept, so that processes forked from this one need not."""
        for index in range(len(self.cases)):
            self._read(index)
            if self._room <= 0:
                return

    def _read(self, index: int) -> tuple[Photograph, Mask]:
        if index in self._kept:
            return self._kept[index]
        photograph, mask = _pixels(self.cases[index]), self.cases[index].mask()
        self._room -= photograph.nbytes + mask.nbytes
        if self._room >= 0:
            photograph.flags.writeable = mask.flags.writeable = False
            self._kept[index] = photograph, mask
        return photograph, mask


def network_input(case: ExudateCase, config: PairConfig, divisor: int = 16) -> Tensor:
    """Return what the network sees of a whole case, (3, h, w) float32, not augmented; `PairConfig.input_size`."""
    photograph = _pixels(case)
    size = config.input_size(photograph.shape[0], photograph.shape[1], divisor)
    return _normal(_resize(_seen(photograph, config), size, cv2.INTER_CUBIC), config).expand(3, -1, -1)


def augment(
    photograph: Photograph, mask: Mask, config: ExudateAugmentation, seed: tuple[int, ...]
) -> tuple[Photograph, Mask]:
    """Return the (H, W, C) uint8 photograph and its (H, W) bool mask, changed alike; black comes in from outside.

    Args:
        photograph: RGB, or one grey plane.
        mask: its exudates.
        config: strengths.
        seed: of this pair.
    """
    random = np.random.default_rng(seed)
    colour, across, down, move = (bool(value) for value in random.random(4) < config.p)
    angle, dy, dx = random.uniform(-1.0, 1.0, 3) * (config.rotate, config.shift, config.shift)
    scale = (1.0 + config.zoom) ** random.uniform(-1.0, 1.0)
    if colour:
        changes = draw_augmentation(AugmentationConfig(hflip=0.0, jitter=config.jitter), (*seed, 1))
        photograph = _jittered(photograph, changes)
    if across:
        photograph, mask = photograph[:, ::-1], mask[:, ::-1]
    if down:
        photograph, mask = photograph[::-1], mask[::-1]
    if move:
        height, width = mask.shape
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(angle), float(scale))
        matrix[:, 2] += dx * width, dy * height
        photograph = np.asarray(
            cv2.warpAffine(np.ascontiguousarray(photograph), matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8
        ).reshape(photograph.shape)
        moved = cv2.warpAffine(mask.astype(np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST)
        mask = np.asarray(moved) > 0
    return np.ascontiguousarray(photograph), np.ascontiguousarray(mask)


def window(
    photograph: Photograph, mask: Mask, size: tuple[int, int], marked: float, seed: tuple[int, ...]
) -> tuple[Photograph, Mask]:
    """Return a random window of (H, W, C) photograph and (H, W) mask; what lies outside them is black and unmarked.

    Args:
        photograph: RGB, or one grey plane.
        mask: its exudates.
        size: (height, width) of the window in px.
        marked: probability that it holds a marked pixel, drawn from all of them, anywhere within; where there is none,
            the window is drawn as the others are: anywhere in the image.
        seed: of this pair.
    """
    random = np.random.default_rng(seed)
    wanted, (v, u) = random.random() < marked, random.random(2)
    points = np.flatnonzero(mask) if wanted else np.empty(0, np.int64)
    (height, width), (rows, columns) = mask.shape, size
    if len(points):
        y, x = divmod(int(points[random.integers(len(points))]), width)
        top, left = y - int(v * rows), x - int(u * columns)
        # Keep the window in the image where it fits.
        top, left = min(max(top, 0), max(0, height - rows)), min(max(left, 0), max(0, width - columns))
    else:
        top, left = int(v * (max(0, height - rows) + 1)), int(u * (max(0, width - columns) + 1))
    out, labels = np.zeros((rows, columns, photograph.shape[2]), np.uint8), np.zeros((rows, columns), np.bool_)
    part = photograph[top : top + rows, left : left + columns]
    out[: part.shape[0], : part.shape[1]] = part
    labels[: part.shape[0], : part.shape[1]] = mask[top : top + rows, left : left + columns]
    return out, labels


def _jittered(photograph: Photograph, changes: AugmentationDraw) -> Photograph:
    """Return the (H, W, C) photograph with other colours. A grey one has 256 of them: each is changed once."""
    if photograph.shape[2] == 1:
        levels = torch.arange(256, dtype=torch.float32)[None, None] / 255.0
        changed = jitter(levels, changes, float(photograph.mean()) / 255.0).numpy()
        table = np.floor(changed[0, 0] * 255.0 + 0.5).astype(np.uint8)
        return table[photograph]
    pixels = torch.from_numpy(photograph.transpose(2, 0, 1).astype(np.float32) / np.float32(255.0))
    changed = jitter(pixels, changes, float(pixels.mean())).numpy().transpose(1, 2, 0)
    return np.floor(changed * 255.0 + 0.5).astype(np.uint8)


def _seen(photograph: Photograph, config: PairConfig) -> Photograph:
    """Return the planes the network sees, (H, W, 3), or (H, W, 1) where all three are one."""
    if config.channels == "green":
        return photograph if photograph.shape[2] == 1 else photograph[..., 1:2]
    return np.repeat(photograph, 3, axis=2) if photograph.shape[2] == 1 else photograph


def _normal(photograph: Photograph, config: PairConfig) -> Tensor:
    values = (photograph.astype(np.float32) / np.float32(255.0) - config.mean) / config.std
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1).astype(np.float32)))


def _pixels(case: ExudateCase) -> Photograph:
    """Return the photograph, uint8: (H, W, 3) RGB, or (H, W, 1) where it is grey."""
    pixels = to_8_bit(read_image(case.image).pixels)
    return np.array(pixels[..., None] if pixels.ndim == 2 else pixels)


def _resize(pixels: npt.NDArray[np.uint8], size: tuple[int, int], interpolation: int) -> npt.NDArray[np.uint8]:
    """Return (H, W) or (H, W, C) pixels at another size (height, width)."""
    resized = cv2.resize(np.ascontiguousarray(pixels), (size[1], size[0]), interpolation=interpolation)
    return np.asarray(resized, np.uint8).reshape(*size, *pixels.shape[2:])
