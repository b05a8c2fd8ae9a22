"""A folder of images with reference masks: `images/NAME.*`, `masks/NAME.*`, optionally `fov/NAME.*`.

Everything that does not fit is refused before training starts, with the files named.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput
from fundusrt.inputs import IMAGE_SUFFIXES

__all__ = ["MASK_SUFFIXES", "Case", "files_by_stem", "read_folder", "read_mask"]

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Case:
    """The files of one image: `name` is the stem they share; `fov` may be absent."""

    name: str
    image: Path
    mask: Path
    fov: Path | None = None


def read_folder(folder: Path) -> list[Case]:
    """Return the cases of a data folder, sorted by name.

    Args:
        folder: holds `images/` and `masks/`, optionally `fov/`, with equal stems.

    Raises:
        InvalidInput: a folder is absent or empty, masks are missing, or two files share a stem.
    """
    images = files_by_stem(folder / "images", IMAGE_SUFFIXES)
    masks = files_by_stem(folder / "masks", MASK_SUFFIXES)
    fovs = files_by_stem(folder / "fov", MASK_SUFFIXES) if (folder / "fov").is_dir() else {}
    missing = [stem for stem in images if stem not in masks]
    if missing:
        raise InvalidInput(
            folder / "masks",
            got=f"no mask for {len(missing)} of {len(images)} images: {_listed(missing)}",
            expected=f"a file with the image's stem and one of {', '.join(MASK_SUFFIXES)}",
            fix=f"add masks/{missing[0]}.png (0 background, 255 marked)",
        )
    return [Case(stem, path, masks[stem], fovs.get(stem)) for stem, path in sorted(images.items())]


def read_mask(path: Path, size: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
    """Read a two-valued mask.

    Args:
        path: image file holding 0 and one other value (255 or 1), in one channel or equal channels.
        size: (height, width) in px the mask must have, or None for any.

    Returns:
        (H, W) bool.

    Raises:
        InvalidInput: not an image, another size, coloured, or more than two values.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            found = (picture.height, picture.width)
            if size is not None and found != size:
                raise InvalidInput(
                    path,
                    got=f"{found[0]} x {found[1]} px",
                    expected=f"{size[0]} x {size[1]} px, the size of its image",
                    fix="save the mask at the image's resolution",
                )
            # the colours of a palette, not its indices
            pixels = np.asarray(picture.convert("RGB") if picture.mode in ("P", "PA") else picture)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise InvalidInput(
            path, got=str(error), expected="a readable image file", fix="save the mask again as PNG"
        ) from error
    if pixels.ndim == 3:
        colour = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]
        if not (colour == colour[..., :1]).all():
            raise InvalidInput(
                path,
                got="a coloured picture",
                expected="a mask of 0 and 255 in one channel",
                fix="save the mask alone, not an overlay",
            )
        pixels = colour[..., 0]
    if pixels.dtype == np.bool_:
        return pixels.copy()
    highest = pixels.max(initial=0)
    mask = pixels != 0
    if not (pixels[mask] == highest).all():
        values = np.unique(pixels)
        raise InvalidInput(
            path,
            got=f"{len(values)} values: {_listed([str(v) for v in values])}",
            expected="two values, 0 and 255",
            fix="save the mask without smoothing and in a lossless format",
        )
    return mask


def files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of a folder that have one of the suffixes, by stem.

    Raises:
        InvalidInput: no such folder, no such file in it, or two files of one stem.
    """
    if not folder.is_dir():
        raise InvalidInput(folder, got=_what_is_at(folder), expected="a folder", fix=f"create {folder}")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in suffixes:
            continue
        if path.stem in found:
            raise InvalidInput(
                folder,
                got=f"{found[path.stem].name} and {path.name}",
                expected="one file per stem",
                fix="move one of them away",
            )
        found[path.stem] = path
    if not found:
        others = sorted(path.name for path in folder.iterdir())
        raise InvalidInput(
            folder,
            got=_listed(others) if others else "an empty folder",
            expected=f"files with {', '.join(suffixes)}",
            fix="put the files there, or name another folder",
        )
    return found


def _what_is_at(folder: Path) -> str:
    if folder.exists():
        return "a file"
    parent = folder.parent
    if not parent.is_dir():
        return f"no folder {parent} either"
    inside = sorted(path.name for path in parent.iterdir())
    return f"nothing; {parent} holds {_listed(inside) if inside else 'nothing'}"


def _listed(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
