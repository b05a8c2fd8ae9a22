"""Pre-processed images on disk, so that an epoch only copies windows.

Each image is enhanced once, by the same SDK functions that deployment calls, and kept as memory-mapped uint8 arrays in
a cache folder named by the SHA-256 of the files' content and of every parameter. A folder appears whole or not at all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fundusrt import __version__
from fundusrt.errors import InvalidInput, OutputError
from fundusrt.image import FundusImage, read_image
from fundusrt.manifest import PreprocessSpec, TileSpec, WholeImageSpec
from fundusrt.preprocess import enhance, fit_to_grid, nearest_index, shrink_whole
from fundusrt_training.data.folder import Case, read_mask

__all__ = ["WorkingImage", "WorkingImageSpec", "default_cache", "file_sha256", "prepare", "prepare_all"]

logger = logging.getLogger(__name__)

Bytes = npt.NDArray[np.uint8]
# Raise when the arrays a cache folder holds change meaning.
CACHE_VERSION = 1


@dataclass(frozen=True)
class WorkingImageSpec:
    """Everything that decides what a working image looks like.

    Args:
        preprocess: contrast steps.
        tile: grid size rule.
        whole: size and interpolation of the whole image.
        mask: how the reference mask is reduced to the whole image's size: `nearest`, or `area` (on where at least half
            is).
        fov: `found` uses the field of view deployment will find; `file` uses `fov/NAME.*` where there is one.
    """

    preprocess: PreprocessSpec
    tile: TileSpec
    whole: WholeImageSpec
    mask: Literal["nearest", "area"] = "nearest"
    fov: Literal["found", "file"] = "found"

    def identity(self) -> dict[str, Any]:
        """Return plain data for the cache key."""
        import cv2

        return {
            "preprocess": self.preprocess.model_dump(),
            "tile": self.tile.model_dump(),
            "whole": self.whole.model_dump(),
            "mask": self.mask,
            "fov": self.fov,
            "cache_version": CACHE_VERSION,
            "fundusrt": __version__,
            # a version says nothing of edits between releases
            "code": _code_sha256(),
            "opencv": cv2.__version__,
        }


@dataclass(frozen=True)
class WorkingImage:
    """One prepared image; arrays are opened on first use.

    Attributes:
        name: stem of the files.
        folder: cache folder of this image.
        height: original height in px.
        width: original width in px.
        whole_mean: mean grey level of the whole image, in [0, 1].
        tile_leakage: leakage px of each grid tile, by row and column.
        tile_fov: field-of-view px of each grid tile, by row and column.
        sha256: of the source files: image, mask and, where used, fov.
    """

    name: str
    folder: Path
    height: int
    width: int
    whole_mean: float
    tile_leakage: list[list[int]]
    tile_fov: list[list[int]]
    sha256: dict[str, str]

    @cached_property
    def grid(self) -> Bytes:
        """(H2, W2[, 3]) uint8 enhanced image, both sides multiples of the tile size."""
        return self._open("grid")

    @cached_property
    def whole(self) -> Bytes:
        """(size, size[, 3]) uint8 enhanced whole image."""
        return self._open("whole")

    @cached_property
    def mask(self) -> Bytes:
        """(H2, W2) uint8 reference, 0 or 1, on the grid."""
        return self._open("mask")

    @cached_property
    def whole_mask(self) -> Bytes:
        """(size, size) uint8 reference, 0 or 1, of the whole image."""
        return self._open("whole_mask")

    @property
    def original_mask(self) -> npt.NDArray[np.bool_]:
        """(height, width) bool reference at the original resolution, read each time."""
        return self._unpack("original_mask")

    @property
    def original_fov(self) -> npt.NDArray[np.bool_]:
        """(height, width) bool field of view at the original resolution, read each time."""
        return self._unpack("original_fov")

    def _open(self, name: str) -> Bytes:
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")

    def _unpack(self, name: str) -> npt.NDArray[np.bool_]:
        bits = np.unpackbits(np.load(self.folder / f"{name}.npy"), count=self.height * self.width)
        return bits.reshape(self.height, self.width).astype(np.bool_)


@cache
def _code_sha256() -> str:
    """Return one hash over the modules that decide what a working image looks like."""
    import fundusrt

    sdk = Path(fundusrt.__file__).parent
    names = ("field_of_view.py", "image.py", "image_decoding.py", "preprocess.py", "tiling.py")
    content = b"".join((sdk / name).read_bytes() for name in names) + Path(__file__).read_bytes()
    return hashlib.sha256(content).hexdigest()


def default_cache() -> Path:
    """Return `$FUNDUSRT_CACHE`, or `fundusrt/working-images` in the user's cache folder."""
    named = os.environ.get("FUNDUSRT_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fundusrt" / "working-images"


def prepare_all(
    cases: Sequence[Case], spec: WorkingImageSpec, cache: Path, progress: Callable[[int, int], None] | None = None
) -> list[WorkingImage]:
    """Prepare every case, calling `progress(done, count)` after each; 12 grey megapixels take 27 MB of cache."""
    images: list[WorkingImage] = []
    for case in cases:
        images.append(prepare(case, spec, cache))
        if progress is not None:
            progress(len(images), len(cases))
    return images


def prepare(case: Case, spec: WorkingImageSpec, cache: Path) -> WorkingImage:
    """Return the working image of a case, from the cache where it is already there.

    Raises:
        InvalidInput: the image or its mask cannot be used, or the mask's size differs.
        OutputError: the cache folder cannot be written.
    """
    sources = {"image": case.image, "mask": case.mask}
    if spec.fov == "file" and case.fov is not None:
        sources["fov"] = case.fov
    hashes = {name: file_sha256(path) for name, path in sources.items()}
    key = hashlib.sha256(json.dumps([hashes, spec.identity()], sort_keys=True).encode()).hexdigest()
    folder = cache / key[:2] / key
    if not (folder / "item.json").is_file():
        logger.info("preparing %s", case.name)
        _build(folder, case, spec)
    item = json.loads((folder / "item.json").read_text())
    return WorkingImage(name=case.name, folder=folder, sha256=hashes, **item)


def _build(folder: Path, case: Case, spec: WorkingImageSpec) -> None:
    image = read_image(case.image)
    mask = read_mask(case.mask, (image.height, image.width))
    if spec.fov == "file" and case.fov is not None:
        image = dataclasses.replace(image, fov=read_mask(case.fov, (image.height, image.width)))
    arrays, item = _arrays(image, mask, spec)
    temporary = folder.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        temporary.mkdir(parents=True)
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        (temporary / "item.json").write_text(json.dumps(item))
        try:
            os.replace(temporary, folder)
        except OSError:
            if not (folder / "item.json").is_file():
                raise
    except OSError as error:
        raise OutputError(
            folder.parent,
            got=error.strerror or str(error),
            expected="a cache folder that can be written",
            fix="free some space, or choose another folder with --cache or FUNDUSRT_CACHE",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _arrays(
    image: FundusImage, mask: npt.NDArray[np.bool_], spec: WorkingImageSpec
) -> tuple[dict[str, Bytes], dict[str, Any]]:
    enhanced = enhance(image, spec.preprocess)
    whole = shrink_whole(enhanced, spec.whole)
    grid_mask = fit_to_grid(mask.astype(np.uint8), spec.tile)
    grid_fov = fit_to_grid(image.fov.astype(np.uint8), spec.tile)
    arrays = {
        "grid": fit_to_grid(enhanced, spec.tile),
        "whole": whole,
        "mask": grid_mask,
        "whole_mask": _shrink_mask(mask, spec.whole.size, spec.mask),
        "original_mask": np.packbits(mask),
        "original_fov": np.packbits(image.fov),
    }
    item = {
        "height": image.height,
        "width": image.width,
        "whole_mean": float(whole.mean()) / 255.0,
        "tile_leakage": _count_by_tile(grid_mask, spec.tile.size),
        "tile_fov": _count_by_tile(grid_fov, spec.tile.size),
    }
    return arrays, item


def _shrink_mask(mask: npt.NDArray[np.bool_], size: int, how: str) -> Bytes:
    if how == "nearest":
        rows, columns = nearest_index(mask.shape[0], size), nearest_index(mask.shape[1], size)
        return mask[rows][:, columns].astype(np.uint8)
    import cv2

    share = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return (np.asarray(share) >= 0.5).astype(np.uint8)


def _count_by_tile(mask: Bytes, size: int) -> list[list[int]]:
    rows, columns = mask.shape[0] // size, mask.shape[1] // size
    counts = mask.reshape(rows, size, columns, size).sum(axis=(1, 3), dtype=np.int64)
    return [[int(count) for count in row] for row in counts]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits. Raises InvalidInput where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(
            path, got=error.strerror or str(error), expected="a readable file", fix="check its path and rights"
        ) from error
