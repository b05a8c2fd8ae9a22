"""Real tiles from which ranges are measured, refused where they cannot stand for the images to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fundusrt.backends.base import Array
from fundusrt.errors import InvalidInput
from fundusrt_export.precision.judgement import answers, tile_sha256
from fundusrt_export.precision.report import CalibrationFacts, Task

__all__ = ["FEWEST_TILES", "CalibrationTiles"]

FEWEST_TILES = 16
"""Tiles that show something, for int8. Ranges of fewer change visibly from one choice of tiles to the next."""

_MARKED = np.float32(0.5)


@dataclass(frozen=True)
class CalibrationTiles:
    """Checked tiles. Make one with `check`.

    Attributes:
        tiles: (N, C, H, W) float32, finite.
        facts: how many, how many with lesions, their hash.
        sha256: of each tile.
    """

    tiles: Array
    facts: CalibrationFacts
    sha256: frozenset[str]

    @classmethod
    def check(
        cls,
        network: bytes,
        tiles: Array,
        *,
        task: Task,
        lesion_tiles: Sequence[bool] | None,
        fewest: int,
        threads: int | None = None,
    ) -> CalibrationTiles:
        """Refuse tiles that are no network inputs, too few, empty, or without a lesion.

        Args:
            network: the float32 ONNX file, asked where `lesion_tiles` is None: a tile holds a lesion if a probability
                reaches 0.5.
            tiles: (N, C, H, W) float32 network inputs.
            task: enhancement knows no lesions.
            lesion_tiles: for each tile, whether it holds a lesion.
            fewest: tiles needed, not counting those of a single colour.
            threads: of ONNX Runtime.

        Raises:
            InvalidInput: names the first tile that cannot be used, or the number that is missing.
        """
        _check_array(tiles)
        varied = [tile for tile in tiles if (tile != tile[:, :1, :1]).any()]
        shown = len(varied)
        if shown < fewest:
            raise InvalidInput(
                "calibration tiles",
                got=f"{len(tiles)} tiles, {shown} of which show more than one colour",
                expected=f"at least {fewest} that do",
                fix=f"add {fewest - shown} tiles of real images",
            )
        with_lesions = None
        if task == "segmentation":
            if lesion_tiles is None:
                lesion_tiles = [bool((p >= _MARKED).any()) for p in answers(network, tiles, threads=threads)]
            elif len(lesion_tiles) != len(tiles):
                raise InvalidInput(
                    "lesion_tiles",
                    got=f"{len(lesion_tiles)} values for {len(tiles)} tiles",
                    expected="one for each tile",
                    fix="say for each tile whether it holds a lesion",
                )
            with_lesions = sum(map(bool, lesion_tiles))
            if not with_lesions:
                raise InvalidInput(
                    "calibration tiles",
                    got=f"{len(tiles)} tiles, none with a lesion",
                    expected="tiles with and without lesions",
                    fix="add tiles of diseased eyes: what only lesions excite would be cut off",
                )
        facts = CalibrationFacts(len(tiles), with_lesions, tile_sha256(tiles))
        # Tiles outside the field are black in every image: that such a one was seen says nothing of the image.
        return cls(tiles, facts, frozenset(map(tile_sha256, varied)))


def _check_array(tiles: Array) -> None:
    if tiles.ndim != 4 or tiles.dtype != np.float32 or not tiles.size:
        raise InvalidInput(
            "calibration tiles",
            got=f"shape {tiles.shape}, {tiles.dtype}",
            expected="(N, C, H, W) float32, at least one",
            fix="stack the network's inputs of real images (`fundusrt.preprocess.to_tensor`)",
        )
    for number, tile in enumerate(tiles):
        if not np.isfinite(tile).all():
            raise InvalidInput(
                f"calibration tile {number}",
                got="NaN or infinity",
                expected="finite values",
                fix="drop the tile or repair its preprocessing",
            )
