"""What a pipeline returns, and how it is written to disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fundusrt.atomic import write_bytes, write_json
from fundusrt.errors import InvalidInput, OutputError

if TYPE_CHECKING:
    from fundusrt.image import FundusImage
    from fundusrt.lesions import Lesion

__all__ = ["Provenance", "Quality", "SegmentationResult", "result_paths"]

RESULT_FORMAT = "fundusrt-segmentation"
RESULT_FORMAT_VERSION = 1
_TINT = (255, 64, 64)
_PNG_COMPRESSION = 1  # a 12-megapixel overlay: three times faster than the default for 15 % more bytes


@dataclass(frozen=True)
class Quality:
    """Whether the image could be graded at all; `reasons` says why not."""

    gradable: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """What made a result: enough to make it again, and to see that nothing else ran than was asked for."""

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
    grid_px: tuple[int, int]
    tiles: int
    options: dict[str, Any]
    versions: dict[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class SegmentationResult:
    """The answer for one image. The arrays belong to the caller.

    Attributes:
        mask: (H, W) bool at the image's own size; false outside the field of view.
        probability: (H, W) float32 in [0, 1]; 0 outside the field of view.
        lesions: the connected parts of the mask, largest first.
        timings_ms: milliseconds of each stage, in the order they ran.
        provenance: bundle, backend, device, precision and versions that made it.
        quality: whether the image could be graded; an ungradable image has an empty mask.
        image: the pixels and field of view the answer is about.
    """

    mask: npt.NDArray[np.bool_]
    probability: npt.NDArray[np.float32]
    lesions: list[Lesion]
    timings_ms: dict[str, float]
    provenance: Provenance
    quality: Quality
    image: FundusImage

    def __repr__(self) -> str:
        height, width = self.mask.shape
        found = f"{len(self.lesions)} lesions, {self.area_fraction:.2%} of the field"
        grade = found if self.quality.gradable else "ungradable"
        return f"SegmentationResult({self.provenance.source!r}, {height} x {width} px, {grade})"

    @property
    def area_px(self) -> int:
        """Number of mask pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def fov_area_px(self) -> int:
        """Number of pixels inside the field of view."""
        return int(np.count_nonzero(self.image.fov))

    @property
    def area_fraction(self) -> float:
        """Mask pixels over field-of-view pixels; 0 where there is no field of view."""
        return self.area_px / self.fov_area_px if self.fov_area_px else 0.0

    def overlay(self) -> npt.NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB: the image, lesions tinted and outlined."""
        import cv2

        pixels = self.image.pixels
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        rgb = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels.copy()
        outline_px = max(1, round(max(rgb.shape[:2]) / 1300))
        rgb[self.mask] = (0.7 * rgb[self.mask] + 0.3 * np.array(_TINT)).round().astype(np.uint8)
        contours, _ = cv2.findContours(self.mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(rgb, contours, -1, _TINT, outline_px)
        return np.asarray(rgb, np.uint8)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `*_result.json`: plain values, no arrays."""
        return {
            "format": RESULT_FORMAT,
            "format_version": RESULT_FORMAT_VERSION,
            "quality": asdict(self.quality),
            "area_px": self.area_px,
            "field_of_view_px": self.fov_area_px,
            "area_fraction": self.area_fraction,
            "lesions": [lesion.to_dict() for lesion in self.lesions],
            "timings_ms": {stage: round(ms, 3) for stage, ms in self.timings_ms.items()},
            "provenance": asdict(self.provenance),
        }

    def save(self, folder: str | Path, name: str | None = None) -> dict[str, Path]:
        """Write `<name>_mask.png` (0/255), `_overlay.png`, `_probability.png` (16 bit) and, last, `_result.json`.

        Each file appears whole or not at all; existing ones are replaced. A `_result.json` of an earlier run is removed
        first, so one that is there always belongs to the three images beside it.

        Args:
            folder: made if it does not exist.
            name: default: the source's file name without its ending.

        Returns:
            What was written: `mask`, `overlay`, `probability` and `result`.

        Raises:
            OutputError: the folder or a file cannot be written.
            InvalidInput: a name with a path separator.
        """
        folder = Path(folder)
        name = Path(self.provenance.source).stem if name is None else name
        if not name or name in (".", "..") or any(character in name for character in "/\\\0"):
            raise InvalidInput(
                "result name", got=repr(name), expected="a plain file name", fix="pass another name to save()"
            )
        written = result_paths(folder, name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            written["result"].unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                folder,
                got=error.strerror or str(error),
                expected="a writable folder",
                fix="choose another output folder",
            ) from error
        scaled = np.multiply(self.probability, np.float32(65535.0))
        images = {
            "mask": self.mask.view(np.uint8) * np.uint8(255),
            "overlay": self.overlay()[..., ::-1],
            "probability": np.rint(scaled, out=scaled).astype(np.uint16),
        }
        for kind, array in images.items():
            write_bytes(written[kind], _png(array))
        write_json(written["result"], self.to_dict())
        return written


def result_paths(folder: Path, name: str) -> dict[str, Path]:
    """Return the files that `SegmentationResult.save` writes for a name, by kind, in the order they are written."""
    endings = {"mask": ".png", "overlay": ".png", "probability": ".png", "result": ".json"}
    return {kind: folder / f"{name}_{kind}{ending}" for kind, ending in endings.items()}


def _png(array: npt.NDArray[Any]) -> bytes:
    import cv2

    done, encoded = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION])
    if not done:
        raise OutputError(
            "PNG encoding",
            got=f"array {array.shape} {array.dtype}",
            expected="an encodable image",
            fix="pass uint8 (H, W) or (H, W, 3)",
        )
    return encoded.tobytes()
