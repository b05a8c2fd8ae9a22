"""Pairs of tile and whole image: right pixels, right window, one augmentation for both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fundusrt.manifest import PreprocessSpec
from fundusrt.preprocess import to_tensor
from fundusrt_training.data.augmentation import AugmentationConfig
from fundusrt_training.data.epoch_plan import EpochPlan, TileConfig, TileDraw
from fundusrt_training.data.folder import read_folder
from fundusrt_training.data.leakage import LeakagePairs, epoch_loader
from fundusrt_training.data.working_image import WorkingImage, prepare_all
from fundusrt_training.losses.consistency import sample_window
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from tests.training.conftest import write_case

PLAIN = PreprocessSpec(clahe=None)


@pytest.fixture(scope="module", params=[True, False], ids=["grey", "colour"])
def images(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    cache: Path,
    tiny_config: Callable[..., CmwnetConfig],
) -> list[WorkingImage]:
    path = tmp_path_factory.mktemp("pairs")
    for index in range(2):
        write_case(path, f"eye{index}", 64, 96, index, grey=request.param)
    return prepare_all(read_folder(path), tiny_config().working_image_spec(), cache)


@pytest.mark.parametrize(
    "spec", [PLAIN, PreprocessSpec(channels=1), PreprocessSpec(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))]
)
def test_without_augmentation_a_pair_is_the_sdks_tensor(images: list[WorkingImage], spec: PreprocessSpec) -> None:
    pairs = LeakagePairs(images, spec, 32, None)
    item = pairs[TileDraw(1, 32, 16, (0,))]
    # normalised as (x / 255 - mean) / std in float32, in another order of roundings than the SDK's only for colour
    tile = torch.from_numpy(to_tensor(np.ascontiguousarray(images[1].grid[32:64, 16:48]), spec))
    assert item["tile"].shape == (spec.channels, 32, 32)  # pyright: ignore
    torch.testing.assert_close(item["tile"], tile, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        item["whole"], torch.from_numpy(to_tensor(np.asarray(images[1].whole), spec)), rtol=0, atol=1e-6
    )
    assert np.array_equal(item["tile_mask"][0].numpy(), images[1].mask[32:64, 16:48])  # pyright: ignore
    assert np.array_equal(item["whole_mask"][0].numpy(), images[1].whole_mask)  # pyright: ignore
    assert item["window"].tolist() == pytest.approx([0.5, 1 / 6, 1.0, 0.5])  # pyright: ignore
    assert item["name"] == "eye1[32:64, 16:48]"


def test_window_points_at_the_tile_after_flips(images: list[WorkingImage]) -> None:
    # The whole mask, enlarged and cut by the window, must look like the tile's mask: it is the same place.
    pairs = LeakagePairs(images, PLAIN, 32, AugmentationConfig(hflip=0.5, vflip=0.5))
    right: list[float] = []
    for i in range(40):
        item = pairs[TileDraw(i % 2, 16 * (i % 3), 16 * (i % 5), (i,))]
        cut = sample_window(item["whole_mask"][None], item["window"][None], 32, 32)[0] > 0.5  # pyright: ignore
        right.append(float((cut == (item["tile_mask"] > 0.5)).float().mean()))
    assert min(right) > 0.9


def brightest(image: WorkingImage) -> tuple[int, int]:
    """Return the corner of the 32 px window with the most leakage."""
    corners = [(y, x) for y in range(0, 33, 4) for x in range(0, 65, 4)]
    return max(corners, key=lambda c: image.mask[c[0] : c[0] + 32, c[1] : c[1] + 32].sum())


def test_one_colour_change_for_both(images: list[WorkingImage]) -> None:
    plain = LeakagePairs(images, PLAIN, 32, None)
    changed = LeakagePairs(images, PLAIN, 32, AugmentationConfig(hflip=0, jitter=(0.3, 0.3, 0, 0)))
    draw = TileDraw(0, *brightest(images[0]), (5,))
    tile, whole = (float(plain[draw][branch].mean()) for branch in ("tile", "whole"))  # pyright: ignore
    assert tile > whole + 0.01, "the two means must differ for the common pivot to matter"
    fits = []
    for branch in ("tile", "whole"):
        before, after = plain[draw][branch].flatten(), changed[draw][branch].flatten()  # pyright: ignore
        inside = (after > 0.02) & (after < 0.98)
        fits.append(np.polyfit(before[inside].numpy(), after[inside].numpy(), 1))
    # an affine grey change is one line; clipping was left out
    np.testing.assert_allclose(fits[0], fits[1], atol=0.005)


def test_a_blank_exposure_replaces_both_pictures_and_masks(images: list[WorkingImage]) -> None:
    pairs = LeakagePairs(images, PLAIN, 32, AugmentationConfig(blank=1.0))
    item = pairs[TileDraw(0, *brightest(images[0]), (5,))]
    tile, whole = item["tile"], item["whole"]
    assert isinstance(tile, torch.Tensor)
    assert isinstance(whole, torch.Tensor)
    assert tile.unique().tolist() == whole.unique().tolist()
    assert len(tile.unique()) == 1
    assert not item["tile_mask"].any()  # pyright: ignore
    assert not item["whole_mask"].any()  # pyright: ignore


def test_unneeded_branches_are_left_out(images: list[WorkingImage]) -> None:
    draw = TileDraw(0, 0, 0, (1,))
    both = LeakagePairs(images, PLAIN, 32, AugmentationConfig())[draw]
    for branch in ("tile", "whole"):
        one = LeakagePairs(images, PLAIN, 32, AugmentationConfig(), (branch,))[draw]
        assert set(one) == {branch, f"{branch}_mask", "window", "name"}
        assert torch.equal(one[branch], both[branch]), "the same pixels in every mode"  # pyright: ignore


def test_loader_gives_the_plan_in_batches(images: list[WorkingImage]) -> None:
    plan = EpochPlan(images, TileConfig(size=32), 0, 4)
    batches = list(epoch_loader(LeakagePairs(images, PLAIN, 32, None), plan, 0))
    assert [tuple(b["tile"].shape) for b in batches] == [(4, 3, 32, 32)] * 3
    names = [name for b in batches for name in b["name"]]
    assert names == [f"eye{d.image}[{d.y0}:{d.y0 + 32}, {d.x0}:{d.x0 + 32}]" for d in plan.draws(0)]
    late = list(epoch_loader(LeakagePairs(images, PLAIN, 32, None), plan, 0, start=2))
    assert torch.equal(late[0]["tile"], batches[2]["tile"])
    assert all(b["tile"].dtype == torch.float32 and b["whole_mask"].max() <= 1 for b in batches)
