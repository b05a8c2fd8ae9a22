"""Epoch plans: complete, reproducible, and with the wanted share of leakage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from fundusrt.errors import InvalidInput
from fundusrt_training.data.epoch_plan import EpochPlan, TileConfig, TileDraw
from fundusrt_training.data.folder import read_folder
from fundusrt_training.data.working_image import WorkingImage, prepare_all
from fundusrt_training.systems.cmwnet_config import CmwnetConfig


@pytest.fixture(scope="module")
def images(folder: Path, cache: Path, tiny_config: Callable[..., CmwnetConfig]) -> list[WorkingImage]:
    return prepare_all(read_folder(folder), tiny_config().working_image_spec(), cache)


def plan(
    images: Sequence[WorkingImage], seed: int = 0, batch: int = 4, steps: int | None = None, **fields: object
) -> EpochPlan:
    return EpochPlan(images, TileConfig(size=32, **fields), seed, batch, steps)  # pyright: ignore


def leak(images: Sequence[WorkingImage], draw: object) -> bool:
    return bool(images[draw.image].mask[draw.y0 : draw.y0 + 32, draw.x0 : draw.x0 + 32].any())  # pyright: ignore


def places(draws: Sequence[TileDraw]) -> list[tuple[int, int, int]]:
    return [(d.image, d.y0, d.x0) for d in draws]


def test_one_pass_shows_every_tile_once(images: list[WorkingImage]) -> None:
    ours = plan(images)
    assert (ours.tiles, ours.steps) == (18, 5)
    draws = ours.draws(0)
    assert Counter((d.image, d.y0, d.x0) for d in draws) == Counter(
        (i, y, x) for i in range(3) for y in (0, 32) for x in (0, 32, 64)
    )
    assert [len(b) for b in ours.batches(0)] == [4, 4, 4, 4, 2]


def test_plans_are_functions_of_seed_and_epoch(images: list[WorkingImage]) -> None:
    assert plan(images).draws(3) == plan(images).draws(3)
    assert places(plan(images).draws(3)) != places(plan(images).draws(4))
    assert places(plan(images).draws(3)) != places(plan(images, seed=1).draws(3))
    assert plan(images).batches(2, start=3) == plan(images).batches(2)[3:]


@pytest.mark.parametrize("sampling", ["grid", "random"])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_share_of_leakage_is_exact(images: list[WorkingImage], sampling: str, share: float) -> None:
    ours = plan(images, steps=10, sampling=sampling, positive_fraction=share)
    draws = ours.draws(1)
    assert len(draws) == 40
    assert sum(leak(images, d) for d in draws) == round(share * 40)


def test_many_steps_cycle_through_whole_passes(images: list[WorkingImage]) -> None:
    draws = plan(images, steps=9).draws(0)
    assert set(Counter((d.image, d.y0, d.x0) for d in draws).values()) == {2}


def test_random_windows_stay_inside_and_off_the_grid(images: list[WorkingImage]) -> None:
    draws = plan(images, steps=50, sampling="random").draws(0)
    for d in draws:
        assert 0 <= d.y0 <= 64 - 32
        assert 0 <= d.x0 <= 96 - 32
    assert np.mean([d.x0 % 32 != 0 for d in draws]) > 0.5


def test_each_draw_has_its_own_seed(images: list[WorkingImage]) -> None:
    ours = plan(images, steps=20)
    seeds = [d.seed for epoch in range(3) for d in ours.draws(epoch)]
    assert len(set(seeds)) == len(seeds)


def test_tiles_outside_the_field_of_view_can_be_left_out(images: list[WorkingImage]) -> None:
    class Blind:
        def __getattr__(self, name: str) -> object:
            return getattr(images[0], name)

        tile_fov = [[0, 0, 5], [0, 0, 0]]  # noqa: RUF012

    blind = [Blind(), images[1]]
    assert plan(blind, skip_outside=True).tiles == 7  # pyright: ignore
    assert plan(blind).tiles == 12  # pyright: ignore


def test_impossible_shares_are_refused(images: list[WorkingImage]) -> None:
    class All:
        def __getattr__(self, name: str) -> object:
            return getattr(images[0], name)

    none, every = All(), All()
    none.tile_leakage = [[0] * 3] * 2  # pyright: ignore
    every.tile_leakage = [[1] * 3] * 2  # pyright: ignore
    with pytest.raises(
        InvalidInput, match=r"positive_fraction: got 0\.5, but none of 6 tiles contains leakage; .*check the masks"
    ):
        plan([none], positive_fraction=0.5)  # pyright: ignore
    with pytest.raises(InvalidInput, match=r"positive_fraction: got 0\.5, but every tile contains leakage"):
        plan([every], positive_fraction=0.5)  # pyright: ignore
    none.tile_fov = [[0] * 3] * 2  # pyright: ignore
    with pytest.raises(InvalidInput, match="training tiles: got none"):
        plan([none], skip_outside=True)  # pyright: ignore
