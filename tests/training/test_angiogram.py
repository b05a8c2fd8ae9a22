"""The angiogram generator: determinism, independence of its parts, geometry, the rule of the mask, the command."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.data.angiogram import Angiogram, AngiogramConfig, generate
from fundusrt_training.data.angiogram.cli import generate_command
from fundusrt_training.data.angiogram.eye import draw_eye
from fundusrt_training.data.angiogram.leakage import draw_coverage, visible_pixels
from fundusrt_training.data.angiogram.patch import Patch
from fundusrt_training.data.angiogram.vessels import grow_vessels

SMALL = {"height": 256, "width": 320}
MIDDLE = {"height": 512, "width": 640}
PLAIN = AngiogramConfig(jpeg_probability=0.0)  # JPEG would spread each change over its block


def _same(a: Angiogram, b: Angiogram) -> bool:
    parts = all(np.array_equal(a.parts[name], b.parts[name]) for name in a.parts)
    return (
        parts
        and np.array_equal(a.image, b.image)
        and np.array_equal(a.leakage, b.leakage)
        and np.array_equal(a.fov, b.fov)
        and a.facts == b.facts
    )


def test_same_seed_same_bytes() -> None:
    assert _same(generate(7, **SMALL), generate(7, **SMALL))


def test_another_seed_another_eye() -> None:
    one, other = generate(7, **SMALL), generate(8, **SMALL)
    assert not np.array_equal(one.image, other.image)
    assert one.facts["disc"] != other.facts["disc"]


@pytest.mark.parametrize(("height", "width"), [(96, 96), (256, 320), (320, 256), (301, 517)])
def test_shapes_dtypes_and_limits(height: int, width: int) -> None:
    angiogram = generate(3, height=height, width=width)
    assert angiogram.image.dtype == np.uint8
    for mask in (angiogram.leakage, angiogram.fov, *angiogram.parts.values()):
        assert mask.dtype == bool
        assert mask.shape == angiogram.image.shape == (height, width)
        assert not (mask & ~angiogram.fov).any()
    assert 0.3 < angiogram.fov.mean() < 1.0
    assert angiogram.image[angiogram.fov].mean() > 5


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**63), height=st.integers(96, 260), width=st.integers(96, 260))
def test_every_seed_and_size_works(seed: int, height: int, width: int) -> None:
    angiogram = generate(seed, height=height, width=width)
    share = angiogram.leakage.sum() / angiogram.fov.sum()
    assert angiogram.facts["leakage_share"] == pytest.approx(share, abs=1e-6)  # it is rounded to six places
    assert (share > 0) == bool(angiogram.facts["lesions"])


def test_both_eyes_and_the_fovea_lies_temporally() -> None:
    seen: set[str] = set()
    for seed in range(6):
        facts = generate(seed, height=96, width=120).facts
        seen.add(facts["laterality"])
        fovea_is_left = facts["fovea"][1] < facts["disc"][1]
        assert fovea_is_left == (facts["laterality"] == "R")
    assert seen == {"L", "R"}


def test_geometry_scales_with_the_image() -> None:
    small, large = draw_eye(np.random.default_rng(5), 768, 975), draw_eye(np.random.default_rng(5), 3072, 3900)
    assert small.disc_radius_px * 4 == pytest.approx(large.disc_radius_px)
    assert np.array(small.fovea) * 4 == pytest.approx(np.array(large.fovea))
    assert 2.2 <= large.foveal_distance_px / (2 * large.disc_radius_px) <= 2.6
    assert 148 <= 2 * large.disc_radius_px <= 196


def test_vessels_spare_the_fovea_and_reach_every_side() -> None:
    eye = draw_eye(np.random.default_rng(11), 3072, 3900)
    tree = grow_vessels(np.random.default_rng(12), eye)
    trunks = tree.end[tree.generation == 0]
    assert np.linalg.norm(tree.start - np.array(eye.fovea), axis=1).min() > 0.16 * eye.foveal_distance_px
    for third in range(3):
        for other in range(3):
            low = np.array([third * eye.height / 3, other * eye.width / 3])
            inside = ((trunks >= low) & (trunks < low + np.array([eye.height / 3, eye.width / 3]))).all(axis=1)
            assert inside.sum() > 20, f"no trunk in part {third}, {other} of the image"
    assert set(np.unique(tree.generation)) == {0, 1, 2, 3}
    assert 12 < tree.width.max() <= 20
    assert tree.vein.any()
    assert not tree.vein.all()
    assert np.isfinite(tree.start).all()
    assert np.isfinite(tree.width).all()


def _pair(seed: int) -> tuple[Angiogram, Angiogram]:
    """The same eye with and without its leakage; both settings draw the same random numbers."""
    wet = dataclasses.replace(PLAIN, leak_free_fraction=0.0)
    return generate(seed, **MIDDLE, config=wet), generate(
        seed, **MIDDLE, config=dataclasses.replace(PLAIN, leak_free_fraction=1.0)
    )


@pytest.mark.parametrize("seed", [1, 3, 8])
def test_only_the_leakage_part_changes_with_leakage(seed: int) -> None:
    leaking, dry = _pair(seed)
    assert not dry.leakage.any()
    assert dry.facts["lesions"] == []
    assert all(np.array_equal(leaking.parts[name], dry.parts[name]) for name in dry.parts)
    changed = leaking.image != dry.image
    near = np.zeros(changed.shape, bool)
    y, x = np.ogrid[: changed.shape[0], : changed.shape[1]]
    for lesion in leaking.facts["lesions"]:
        (cy, cx), diameter = lesion["centre"], lesion["diameter_px"]
        near |= (y - cy) ** 2 + (x - cx) ** 2 < (2.5 * diameter + 40) ** 2
    assert changed.any()
    assert not (changed & ~near).any()


@pytest.mark.parametrize("seed", [1, 3, 8])
def test_marked_pixels_are_brighter_by_the_visibility_limit(seed: int) -> None:
    leaking, dry = _pair(seed)
    gain = leaking.image.astype(np.float64) - dry.image
    # vessels and disc under a leak are near saturation or veiled by it
    plain = leaking.leakage & ~leaking.parts["vessels"] & ~leaking.parts["disc"]
    assert plain.sum() > 50
    # grain and inner structure scatter single pixels; half the amplitude is the least a lesion shows at its edge
    assert (gain[plain] >= PLAIN.min_increment_grey / 2).mean() > 0.97
    assert gain[plain].mean() >= 1.3 * PLAIN.min_increment_grey
    # the outskirts that are drawn and not marked are dimmer than what is marked
    drawn = (gain > 1) & leaking.fov & ~leaking.leakage & ~leaking.parts["vessels"] & ~leaking.parts["disc"]
    assert gain[drawn].mean() < 0.5 * gain[plain].mean()


def _marked(peak: float = 2.0, light: float = 1.0, background: float = 1.0, grey_per_unit: float = 30.0) -> int:
    """Marked pixels of a lesion with a cone-shaped profile, 0 to 1 and back over 41 px, in an even surrounding."""
    cone = 1.0 - np.hypot(*np.mgrid[-20:21, -20:21]).astype(np.float32) / 20
    patch = Patch(30, 30, np.clip(cone, 0, 1), np.ones_like(cone))
    even = np.ones((101, 101), np.float32)
    lit, base = even * np.float32(light), even * np.float32(background)
    return int(visible_pixels(patch, peak, lit, base, grey_per_unit, AngiogramConfig()).sum())


def test_rule_of_the_mask() -> None:
    half_height = np.hypot(*np.mgrid[-20:21, -20:21]) <= 10
    assert _marked() == half_height.sum()
    # each limit just kept and just missed: contrast 0.4, 5 grey levels, 12 % of the light
    assert _marked(peak=0.81) == half_height.sum()
    assert _marked(peak=0.79) == 0
    assert _marked(peak=2.0, background=2.6) == 0
    assert _marked(peak=2.0, grey_per_unit=5.1) == half_height.sum()
    assert _marked(peak=2.0, grey_per_unit=4.9) == 0
    assert _marked(peak=2.0, light=0.9, grey_per_unit=5.1) == 0
    assert _marked(peak=20.0, light=0.13) == half_height.sum()
    assert _marked(peak=20.0, light=0.11) == 0


def test_nothing_hidden_is_marked() -> None:
    config = AngiogramConfig(lid_probability=1.0, lash_probability=1.0, leak_free_fraction=0.0, coverage_median=0.06)
    marked = 0
    for seed in range(5):
        angiogram = generate(seed, **SMALL, config=config)
        deep = cv2.erode(angiogram.parts["lids"].astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert not (angiogram.leakage & deep).any()
        marked += int(angiogram.leakage.sum())
    assert marked > 500


def test_look_alikes_are_not_marked() -> None:
    config = AngiogramConfig(leak_free_fraction=1.0, confuser_rate=4.0)
    none = AngiogramConfig(leak_free_fraction=1.0, confuser_rate=0.0)
    seen = dict.fromkeys(("reflections", "rim_glow", "dots"), 0)
    for seed in range(4):
        angiogram, bare = generate(seed, **SMALL, config=config), generate(seed, **SMALL, config=none)
        assert not angiogram.leakage.any()
        for name in seen:
            seen[name] += int(angiogram.parts[name].sum())
            assert not bare.parts[name].any()
    assert min(seen.values()) > 100, seen


def test_coverage_law() -> None:
    config = AngiogramConfig()
    rng = np.random.default_rng(0)
    shares = np.array([draw_coverage(rng, config) for _ in range(4000)])
    leaking = shares[shares > 0]
    # four standard errors of a binomial share and of the mean of a log-normal
    assert (shares == 0).mean() == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / len(shares)))
    assert leaking.min() >= config.coverage_range[0]
    assert leaking.max() <= config.coverage_range[1]
    error = 4 * 1.26 * config.coverage_log_sigma / math.sqrt(len(leaking))
    assert np.log(np.median(leaking)) == pytest.approx(math.log(config.coverage_median), abs=error)


def test_coverage_of_images_is_about_what_was_drawn() -> None:
    low = AngiogramConfig(leak_free_fraction=0.0, coverage_median=0.004, coverage_log_sigma=0.0)
    high = AngiogramConfig(leak_free_fraction=0.0, coverage_median=0.05, coverage_log_sigma=0.0)
    for config, target in ((low, 0.004), (high, 0.05)):
        shares = [generate(seed, **SMALL, config=config).facts["leakage_share"] for seed in range(5)]
        assert np.median(shares) == pytest.approx(target, rel=0.5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"seed": -1}, "seed: got -1; expected an integer of 0 or greater"),
        ({"seed": 1.5}, "seed: got 1.5; expected an integer of 0 or greater"),
        ({"seed": True}, "seed: got True; expected an integer of 0 or greater"),
        ({"seed": 1, "height": 95}, "height: got 95 px; expected at least 96 px"),
        ({"seed": 1, "width": 0}, "width: got 0 px; expected at least 96 px"),
        ({"seed": 1, "height": 20000, "width": 20000}, "expected at most 100000000 pixels; generate smaller images"),
    ],
)
def test_refused_arguments(arguments: dict[str, int], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        generate(**arguments)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("settings_", "text"),
    [
        ({"leak_free_fraction": 1.5}, "AngiogramConfig.leak_free_fraction: got 1.5; expected 0.0 to 1.0"),
        ({"min_contrast": float("nan")}, "AngiogramConfig.min_contrast: got nan"),
        ({"coverage_median": 0.3}, "AngiogramConfig.coverage_median: got 0.3; expected 0.003 to 0.2"),
        ({"jpeg_quality": (90, 70)}, "AngiogramConfig.jpeg_quality: got (90, 70); expected ascending values"),
        ({"jpeg_quality": (90, 101)}, "AngiogramConfig.jpeg_quality[1]: got 101; expected 1 to 100"),
    ],
)
def test_refused_settings(settings_: dict[str, float], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        AngiogramConfig(**settings_)
    assert text in str(caught.value)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_command_writes_what_generate_returns(tmp_path: Path, workers: str) -> None:
    arguments = [str(tmp_path), "--count", "3", "--seed", "20", "--size", "128x160", "--workers", workers]
    result = CliRunner().invoke(generate_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["format"] == "fundusrt-angiograms/1"
    assert [entry["name"] for entry in index["images"]] == ["0000", "0001", "0002"]
    assert [entry["seed"] for entry in index["images"]] == [20, 21, 22]
    for entry in index["images"]:
        angiogram = generate(entry["seed"], height=128, width=160)
        wanted = {
            "images": angiogram.image,
            "masks": angiogram.leakage.astype(np.uint8) * 255,
            "fov": angiogram.fov.astype(np.uint8) * 255,
        }
        for folder, pixels in wanted.items():
            read = cv2.imread(str(tmp_path / folder / f"{entry['name']}.png"), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(read, pixels)
        assert entry["leakage_share"] == angiogram.facts["leakage_share"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fov", "images", "index.json", "masks"]
    assert len(list((tmp_path / "images").iterdir())) == 3


@pytest.mark.parametrize("size", ["128", "128x", "axb", "-1x200", "1x2x3", "95x128", "128x95"])
def test_command_refuses_a_size(tmp_path: Path, size: str) -> None:
    result = CliRunner().invoke(generate_command, [str(tmp_path), "--count", "1", "--size", size])
    assert isinstance(result.exception, UsageError)
    assert f"--size: got {size}; expected HEIGHTxWIDTH in px, each at least 96; try 3072x3900" in str(result.exception)


def test_command_leaves_an_older_set_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0000.png").write_text("kept")
    result = CliRunner().invoke(generate_command, [str(tmp_path), "--count", "1", "--size", "96x96"])
    assert isinstance(result.exception, UsageError)
    assert f"{tmp_path}: got a folder that already holds images/0000.png; expected" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize(("share", "leaking"), [("0", 3), ("1", 0)])
def test_command_sets_the_share_of_images_without_leakage(tmp_path: Path, share: str, leaking: int) -> None:
    arguments = [str(tmp_path), "--count", "3", "--seed", "5", "--size", "256x320", "--leak-free", share]
    assert CliRunner().invoke(generate_command, arguments, catch_exceptions=False).exit_code == 0
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["config"]["leak_free_fraction"] == float(share)
    assert sum(entry["leakage_share"] > 0 for entry in index["images"]) == leaking


def test_command_sets_how_much_leaks(tmp_path: Path) -> None:
    arguments = [str(tmp_path), "--count", "3", "--size", "768x960", "--leak-free", "0"]
    arguments += ["--coverage", "0.001", "0.002", "0.003"]
    assert CliRunner().invoke(generate_command, arguments, catch_exceptions=False).exit_code == 0
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["config"]["coverage_range"] == [0.001, 0.003]
    assert index["config"]["coverage_median"] == 0.002
    # lesions are whole: the last may overshoot a little, or the first be left out as too large
    assert all(0 < entry["leakage_share"] < 0.0045 for entry in index["images"])
