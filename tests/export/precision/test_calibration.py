"""Tiles that cannot stand for real images are refused, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_export.errors import ExportError
from fundusrt_export.precision import FEWEST_TILES, DiceJudge, PsnrJudge, to_precision
from fundusrt_export.precision.calibration import CalibrationTiles
from tests.export.precision.small_network import SIZE_PX, segmenter, tiles

NETWORK = segmenter()
SHAPE = (1, SIZE_PX, SIZE_PX)


def check(values: np.ndarray, lesion_tiles: Sequence[bool] | None = None, fewest: int = FEWEST_TILES):
    return CalibrationTiles.check(
        NETWORK, values, task="segmentation", lesion_tiles=lesion_tiles, fewest=fewest, threads=1
    )


def with_nan() -> np.ndarray:
    values = tiles(16)
    values[3, 0, 5, 5] = np.nan
    return values


SHAPED = (
    "(N, C, H, W) float32, at least one; stack the network's inputs of real images (`fundusrt.preprocess.to_tensor`)"
)
REFUSED: dict[str, tuple[Callable[[], np.ndarray], str]] = {
    "too few": (
        lambda: tiles(9),
        "calibration tiles: got 9 tiles, 9 of which show more than one colour; expected at least 16 that do; "
        "add 7 tiles of real images",
    ),
    "black": (
        lambda: np.zeros((40, *SHAPE), np.float32),
        "calibration tiles: got 40 tiles, 0 of which show more than one colour; expected at least 16 that do; "
        "add 16 tiles of real images",
    ),
    "NaN": (
        with_nan,
        "calibration tile 3: got NaN or infinity; expected finite values; drop the tile or repair its preprocessing",
    ),
    "float64": (
        lambda: tiles(16).astype(np.float64),
        f"calibration tiles: got shape (16, 1, 24, 24), float64; expected {SHAPED}",
    ),
    "none": (
        lambda: np.zeros((0, *SHAPE), np.float32),
        f"calibration tiles: got shape (0, 1, 24, 24), float32; expected {SHAPED}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(InvalidInput) as raised:
        check(make())
    assert str(raised.value) == message


def test_the_callers_word_on_lesions() -> None:
    with pytest.raises(InvalidInput, match="16 tiles, none with a lesion"):
        check(tiles(16), [False] * 16)
    with pytest.raises(InvalidInput, match="lesion_tiles: got 2 values for 16 tiles"):
        check(tiles(16), [True, False])
    assert check(tiles(16), [True] * 3 + [False] * 13).facts.with_lesions == 3


def test_the_networks_word_on_lesions() -> None:
    checked = check(tiles(16))
    assert checked.facts.with_lesions == 16
    assert checked.facts.tiles == 16
    assert checked.facts.sha256 != check(tiles(16, seed=1)).facts.sha256


def test_a_network_that_marks_nothing() -> None:
    with pytest.raises(InvalidInput) as raised:
        CalibrationTiles.check(
            segmenter(offset=-100.0), tiles(16), task="segmentation", lesion_tiles=None, fewest=16, threads=1
        )
    assert str(raised.value) == (
        "calibration tiles: got 16 tiles, none with a lesion; expected tiles with and without lesions; "
        "add tiles of diseased eyes: what only lesions excite would be cut off"
    )


def test_enhancement_knows_no_lesions() -> None:
    values = 0.001 * np.random.default_rng(0).random((16, *SHAPE), np.float32)
    checked = CalibrationTiles.check(NETWORK, values, task="enhancement", lesion_tiles=None, fewest=16, threads=1)
    assert checked.facts.with_lesions is None


def test_int8_needs_more_tiles_than_fp16() -> None:
    judge = DiceJudge(NETWORK, tiles(2, seed=5), threshold=0.5, limit=0.1, threads=1)
    with pytest.raises(InvalidInput, match="expected at least 16 that do"):
        to_precision(NETWORK, "int8", tiles(15), task="segmentation", judge=judge, threads=1)
    assert to_precision(NETWORK, "fp16", tiles(1), task="segmentation", judge=judge, threads=1).report.figure.holds


def test_held_out_tiles_are_others() -> None:
    judge = DiceJudge(NETWORK, tiles(2), threshold=0.5, limit=0.1, threads=1)
    with pytest.raises(InvalidInput, match="held-out tiles: got 2 that are calibration tiles too"):
        to_precision(NETWORK, "int8", np.concatenate([tiles(2), tiles(16, seed=3)]), task="segmentation", judge=judge)


def test_held_out_tiles_hold_lesions() -> None:
    with pytest.raises(InvalidInput, match="2 tiles on which the float32 network marks nothing"):
        DiceJudge(segmenter(offset=-100.0), tiles(2), threshold=0.5, limit=0.1, threads=1)


def test_unknown_precision() -> None:
    judge = PsnrJudge(NETWORK, tiles(1, seed=5), limit=50.0, threads=1)
    with pytest.raises(UsageError) as raised:
        to_precision(NETWORK, "fp32", tiles(16), task="enhancement", judge=judge)  # type: ignore[arg-type]
    assert str(raised.value) == (
        "precision: got 'fp32'; expected fp16, bf16, int8; fp32 is what the network already has"
    )


def test_only_float32_networks() -> None:
    judge = DiceJudge(NETWORK, tiles(6, seed=5), threshold=0.5, limit=0.1, threads=1)
    reduced = to_precision(NETWORK, "fp16", tiles(2), task="segmentation", judge=judge, threads=1).content
    with pytest.raises(ExportError, match="network to reduce: got FLOAT, FLOAT16; expected a float32 graph"):
        to_precision(reduced, "fp16", tiles(2), task="segmentation", judge=judge, threads=1)
