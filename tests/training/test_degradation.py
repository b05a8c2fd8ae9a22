"""The degradation model: records make the image again, ranges hold, each effect does what it says."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, cast

import numpy as np
import pytest

from fundusrt.errors import InvalidInput, UsageError
from fundusrt_training.data.degradation import KINDS, Degradation, DegradationConfig, degrade, draw_degradation
from fundusrt_training.data.degradation.degrade import draw_kinds
from fundusrt_training.data.degradation.record import Blur, Colour, Halo, Hole, Spot

Image = np.ndarray
NOTHING = Colour(1.0, 1.0, 1.0)


def retina(height: int = 96, width: int = 128, level: float = 0.5) -> tuple[Image, Image]:
    """A coloured disc on black with some texture, and its field of view."""
    y, x = np.mgrid[:height, :width]
    fov = np.hypot(y - height / 2, x - width / 2) < 0.48 * min(height, width)
    texture = 1.0 + 0.2 * np.random.default_rng(0).standard_normal((height, width))
    image = np.clip(level * texture[..., None] * np.array([1.4, 1.0, 0.6]), 0.0, 1.0) * fov[..., None]
    return image.astype(np.float32), fov


@pytest.mark.parametrize("size", [(96, 128), (128, 96), (33, 512), (101, 101)])
@pytest.mark.parametrize("seed", range(6))
def test_a_record_makes_the_same_image_again(size: tuple[int, int], seed: int) -> None:
    image, fov = retina(*size)
    config = DegradationConfig(noise_sigma=0.01)
    drawn = draw_degradation(np.random.default_rng(seed), *size, config=config)
    bad = degrade(image, fov, drawn)
    again = Degradation.from_dict(json.loads(json.dumps(drawn.to_dict())))
    assert again == drawn
    np.testing.assert_array_equal(degrade(image, fov, again), bad)
    assert bad.dtype == np.float32
    assert bad.shape == image.shape
    assert 0.0 <= bad.min() < bad.max() <= 1.0
    assert not bad[~fov].any()
    assert not np.array_equal(bad, image)


def test_seven_types_all_occur_alike() -> None:
    random = np.random.default_rng(0)
    drawn = [draw_kinds(random) for _ in range(1400)]
    counts = {kinds: drawn.count(kinds) for kinds in set(drawn)}
    assert len(counts) == 7
    assert all(150 < count < 250 for count in counts.values())  # 200 +- 4 standard deviations of 13
    assert all(list(kinds) == [kind for kind in KINDS if kind in kinds] for kinds in counts)


def test_each_kind_draws_its_steps_and_no_other() -> None:
    def steps(*kinds: Any) -> set[str]:
        drawn = draw_degradation(np.random.default_rng(0), 512, 512, kinds)
        return {name for name in ("colour", "halo", "hole", "spots", "blur") if getattr(drawn, name)}

    assert steps("illumination") == {"colour", "halo", "hole"}
    assert steps("spots") == {"spots"}
    assert steps("blur") == {"blur"}
    assert steps("blur", "spots") == {"spots", "blur"}


def test_ranges_of_the_model_at_512() -> None:
    drawn = [draw_degradation(np.random.default_rng(seed), 512, 512, KINDS) for seed in range(300)]
    for each in drawn:
        assert isinstance(each.colour, Colour)
        assert isinstance(each.halo, Halo)
        assert isinstance(each.hole, Hole)
        assert isinstance(each.blur, Blur)
        assert 0.7 <= each.colour.brightness <= 1.2
        assert 0.6 <= each.colour.contrast <= 1.4
        assert 0.6 <= each.colour.saturation <= 1.4
        assert all(abs(c - 256) <= 64 for c in each.halo.centre)
        assert 384 <= each.halo.inner_diameter <= 512 <= each.halo.outer_diameter
        assert 0.4 * 512 <= each.hole.diameter <= 0.7 * 512
        assert 128 <= each.hole.centre[1] <= 384
        assert 192 <= each.hole.centre[0] <= 320
        assert 10 <= len(each.spots) <= 30
        assert all(6 <= spot.diameter <= 25 for spot in each.spots)
        assert all(0 < spot.height < 1 for spot in each.spots)
        assert 5 <= each.blur.sigma <= 15
        sides = [*each.blur.sides, *(side for spot in each.spots for side in spot.blur_sides), each.halo.blur_side]
        assert all(side % 2 == 1 and side > 0 for side in sides)
    lengths = [len(each.spots) for each in drawn]
    assert (min(lengths), max(lengths)) == (10, 30)


def test_lengths_grow_with_the_image() -> None:
    small, large = (draw_degradation(np.random.default_rng(3), n, n, KINDS) for n in (512, 1024))
    assert isinstance(small.blur, Blur)
    assert isinstance(large.blur, Blur)
    assert large.blur.sigma == pytest.approx(2 * small.blur.sigma)
    assert [s.diameter for s in large.spots] == pytest.approx([2 * s.diameter for s in small.spots])
    assert large.spots[0].height == small.spots[0].height


def test_the_blur_keeps_its_pixels_where_asked_to() -> None:
    """In a small frame a kernel that shrinks along is one pixel: no blur at all."""
    frame = DegradationConfig(blur_sigma=(12.0, 12.0))
    pixels = dataclasses.replace(frame, blur_lengths="pixels")
    shrunk, kept, full = (
        draw_degradation(np.random.default_rng(3), n, n, ("blur",), config)
        for n, config in ((96, frame), (96, pixels), (512, frame))
    )
    assert isinstance(shrunk.blur, Blur)
    assert shrunk.blur.sides == (1, 1)
    assert kept.blur == full.blur
    image, fov = retina(96, 96)
    assert not np.array_equal(degrade(image, fov, kept), image * fov[..., None])
    with pytest.raises(UsageError, match=re.escape("degradation.blur_lengths: got 'px'; expected frame or pixels")):
        DegradationConfig(blur_lengths=cast("Any", "px"))


def apply(image: Image, fov: Image, **steps: Any) -> Image:
    return degrade(image, fov, Degradation(*fov.shape, **steps))


def test_colour() -> None:
    image, fov = retina()
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_allclose(apply(image, fov, colour=NOTHING), image, rtol=0, atol=1e-6)
    np.testing.assert_allclose(apply(image, fov, colour=Colour(0.7, 1.0, 1.0)), 0.7 * image, rtol=0, atol=1e-6)
    flat = apply(image, fov, colour=Colour(1.0, 0.0, 1.0))[fov]
    np.testing.assert_allclose(flat, np.full_like(flat, (image @ luma).mean()), rtol=0, atol=1e-6)
    grey = apply(image, fov, colour=Colour(1.0, 1.0, 0.0))[fov]
    np.testing.assert_allclose(grey, np.repeat((image[fov] @ luma)[:, None], 3, 1), rtol=0, atol=1e-6)


def test_a_hole_darkens_its_middle_by_its_depth_and_dark_images_not_at_all() -> None:
    image, fov = retina()
    mean = float(image[fov].mean())
    hole = Hole((48.0, 64.0), 60.0, -0.26, 0.05, (9, 9))
    dark = apply(image, fov, hole=hole)
    expected = np.clip(image[48, 64] + (-0.26 - 0.05 * mean), 0, 1)
    np.testing.assert_allclose(dark[48, 64], expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(dark[48, 20:30], image[48, 20:30])
    faint, _ = retina(level=0.2)
    np.testing.assert_array_equal(apply(faint, fov, hole=hole), faint)


def test_a_spot_brightens_its_disc() -> None:
    image, fov = retina()
    image = image * np.float32(0.5)
    spot = apply(image, fov, spots=(Spot((40.0, 60.0), 20.0, 0.2, (1, 1), 5.0),))
    y, x = np.ogrid[:96, :128]
    disc = np.hypot(y - 40, x - 60) <= 10
    np.testing.assert_allclose(spot[disc & fov], np.clip(image[disc & fov] + 0.2, 0, 1), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(spot[~disc], image[~disc])


def test_a_halo_is_a_tinted_ring_as_bright_as_the_mean() -> None:
    image, fov = retina()
    image = image * np.float32(0.5)
    ring = apply(image, fov, halo=Halo((48.0, 64.0), 40.0, 80.0, 1, (1.0, 0.5, 0.0)))
    added = ring[48, 64 + 30] - image[48, 64 + 30]
    np.testing.assert_allclose(added, image.mean() * np.array([1.0, 0.5, 0.0]), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ring[48, 60:70], image[48, 60:70])


def test_blur_keeps_the_mean_and_loses_texture_and_noise_comes_back() -> None:
    image, fov = retina()
    inner = np.s_[40:56, 56:72]
    blurred = apply(image, fov, blur=Blur(5.0, (5, 5), 0.0, 0))
    assert (blurred[inner].std(axis=(0, 1)) < 0.5 * image[inner].std(axis=(0, 1))).all()
    assert blurred[inner].mean() == pytest.approx(image[inner].mean(), abs=0.02)
    noisy = apply(image, fov, blur=Blur(5.0, (5, 5), 0.05, 7))
    assert (noisy - blurred)[inner].std() == pytest.approx(0.05, rel=0.2)


def test_order_of_the_steps() -> None:
    """Spots come after the illumination, the blur last: a spot on a darkened image keeps its own height."""
    image, fov = retina(level=0.3)
    spot, blur = Spot((48.0, 64.0), 20.0, 0.3, (1, 1), 5.0), Blur(3.0, (5, 5), 0.0, 0)
    colour = Colour(0.7, 1.0, 1.0)
    step = apply(apply(image, fov, colour=colour), fov, spots=(spot,))
    together = apply(image, fov, colour=colour, spots=(spot,))
    np.testing.assert_array_equal(together, step)
    np.testing.assert_array_equal(
        apply(image, fov, colour=colour, spots=(spot,), blur=blur)[40:56, 56:72],
        apply(step, fov, blur=blur)[40:56, 56:72],
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda i, f: (i.astype(np.float64), f), r"image to degrade: got shape \(96, 128, 3\) float64"),
        (lambda i, f: (i[:90], f), r"got shape \(90, 128, 3\)"),
        (lambda i, f: (i * 255, f), "got values from 0 to"),
        (lambda i, f: (i * np.float32(np.nan), f), "got values from nan to nan"),
        (lambda i, f: (i, f.astype(np.uint8)), r"field of view: got shape \(96, 128\) uint8"),
    ],
)
def test_refused_images(change: Any, text: str) -> None:
    image, fov = retina()
    with pytest.raises(InvalidInput, match=text):
        degrade(*change(image, fov), draw_degradation(np.random.default_rng(0), 96, 128))


def test_refused_draws() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="degradation kinds: got 'noise'; expected illumination, spots, blur"):
        draw_degradation(random, 96, 96, ("noise",))  # pyright: ignore
    with pytest.raises(InvalidInput, match="degradation kinds: got none"):
        draw_degradation(random, 96, 96, ())
    with pytest.raises(InvalidInput, match="degradation: got 31 x 96 px"):
        draw_degradation(random, 31, 96)
    with pytest.raises(UsageError, match=r"degradation.spots: got \(30, 10\)"):
        DegradationConfig(spots=(30, 10))
    with pytest.raises(UsageError, match=r"degradation.noise_sigma: got -1.0"):
        dataclasses.replace(DegradationConfig(), noise_sigma=-1.0)
    with pytest.raises(UsageError, match=r"degradation.haze: got an unknown key"):
        Degradation.from_dict({"height": 96, "width": 96, "haze": 1})
