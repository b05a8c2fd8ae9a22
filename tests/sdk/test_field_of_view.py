import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fundusrt.field_of_view import find_field_of_view
from tests.sdk.image_files import DATA

generator = np.random.default_rng(7)


def overlap(found, expected) -> float:
    """Intersection over union; NaN, which fails every comparison, where both are empty."""
    union = np.count_nonzero(found | expected)
    return np.count_nonzero(found & expected) / union if union else float("nan")


def disc(height, width, radius, *, y=None, x=None):
    rows, columns = np.mgrid[:height, :width]
    y, x = (height - 1) / 2 if y is None else y, (width - 1) / 2 if x is None else x
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def polygon(height, width, corners):
    """Inside of a polygon of (y, x) corners given as parts of the frame."""
    import cv2

    places = np.array([(x * width, y * height) for y, x in corners]).round().astype(np.int32)
    return cv2.fillPoly(np.zeros((height, width), np.uint8), [places], 1) > 0


# Frames without a rim


@pytest.mark.parametrize("shape", [(300, 400), (64, 64, 3), (1, 1), (1, 3000), (5000, 40), (2100, 1500)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_black_is_outside_and_a_filled_frame_is_inside(shape, dtype):
    assert not find_field_of_view(np.zeros(shape, dtype)).any()
    for share in (0.3, 1.0):
        found = find_field_of_view(np.full(shape, share * np.iinfo(dtype).max, dtype))
        assert found.dtype == np.bool_
        assert found.shape == shape[:2]
        assert found.all()


def test_sensor_noise_alone_shows_nothing():
    assert not find_field_of_view(generator.integers(0, 3, (600, 700), dtype=np.uint8)).any()


@pytest.mark.parametrize("shape", [(300, 400), (2000, 2400), (600, 500, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_noise_has_no_rim(shape, dtype):
    assert find_field_of_view(generator.integers(0, np.iinfo(dtype).max, shape, dtype)).all()


def test_vignetting_is_no_rim():
    rows, columns = np.mgrid[-1:1:700j, -1:1:900j]
    bright = 200 * np.exp(-1.2 * (rows**2 + columns**2))  # the corners are eleven times darker than the middle
    found = find_field_of_view((bright + generator.normal(0, 2, bright.shape)).clip(0, 255).astype(np.uint8))
    assert found.mean() > 0.99


# Frames with a rim


@given(
    height=st.integers(120, 900),
    width=st.integers(120, 900),
    radius=st.floats(0.3, 0.65),
    inside=st.integers(25, 250),
    outside=st.sampled_from([0, 1, 5, 8]),
    wide=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_disc_in_a_dim_frame(height, width, radius, inside, outside, wide):
    expected = disc(height, width, radius * min(height, width))
    noise = np.random.default_rng(height).normal(0, 1, (height, width))
    frame = (np.where(expected, inside, outside) + noise).clip(0, 255)
    pixels = (frame * 257).astype(np.uint16) if wide else frame.astype(np.uint8)
    # One pixel at the rim of the reduced image (at most 1024 px), and the disc's edge is drawn to one pixel.
    rim = 2 * np.pi * radius * min(height, width)
    assert overlap(find_field_of_view(pixels), expected) >= 1 - 2.5 * rim / np.count_nonzero(expected)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_bit_depth_of_the_content_does_not_matter(bits):
    expected = disc(800, 1000, 380)
    frame = np.where(expected, 0.5, 0.01) * (2**bits - 1) * generator.uniform(0.9, 1.1, expected.shape)
    assert overlap(find_field_of_view(frame.astype(np.uint16)), expected) > 0.99


def test_dark_angiogram_with_shadows_and_a_periphery_that_is_almost_black():
    height, width = 1200, 1500
    expected = polygon(height, width, [(0.02, 0.15), (0.0, 0.8), (0.2, 0.98), (0.9, 0.99), (0.99, 0.1), (0.4, 0.02)])
    rows, columns = np.mgrid[-1:1:1200j, -1:1:1500j]
    bright = 60 * np.exp(-6 * (rows**2 + columns**2)) + 0.5
    for place in np.linspace(-0.8, 0.8, 9):  # shadows of lashes, from the lower rim upwards
        bright[(np.abs(columns - place - 0.1 * rows) < 0.03) & (rows > 0.5)] *= 0.15
    bright[disc(height, width, 40)] *= 0.05  # fovea
    pixels = (generator.poisson(bright) * expected).astype(np.uint8)
    assert np.mean(pixels[expected] == 0) > 0.2  # as black as the surround, pixel by pixel
    assert overlap(find_field_of_view(pixels), expected) > 0.98


def test_tab_at_the_rim_and_lettering_are_left_out():
    expected = disc(900, 1200, 420)
    pixels = np.where(expected, np.uint8(120), np.uint8(4))
    pixels[120:160, 880:930] = 120  # the tab that marks which side is up, 40 px beyond the rim
    pixels[860:880, 20:200:12] = 255  # a date
    found = find_field_of_view(pixels)
    assert overlap(found, expected) > 0.99
    assert not found[120:130, 920:930].any()
    assert not found[860:880].any(axis=0)[:150].any()


def test_montage_keeps_its_bays():
    expected = disc(900, 1600, 260, x=300) | disc(900, 1600, 260, x=1300)
    expected |= disc(900, 1600, 260, y=600)  # together they fill 0.7 of their convex hull
    found = find_field_of_view(np.where(expected, np.uint8(120), np.uint8(0)))
    assert overlap(found, expected) > 0.97


def test_field_cut_by_the_frame_reaches_the_border():
    expected = disc(600, 900, 420)
    found = find_field_of_view(np.where(expected, np.uint8(90), np.uint8(3)))
    assert found[0, 450]
    assert found[-1, 450]
    assert overlap(found, expected) > 0.99


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_bright_channel_is_enough(channel):
    expected = disc(500, 600, 220)
    pixels = np.zeros((500, 600, 3), np.uint8)
    pixels[:, :, channel] = np.where(expected, 90, 2)
    assert overlap(find_field_of_view(pixels), expected) > 0.985


@pytest.mark.parametrize("shape", [(1500, 2001), (3001, 4003), (2049, 1025)])
def test_reduction_does_not_shift_the_rim(shape):
    height, width = shape
    found = find_field_of_view(np.pad(np.full((height - 300, width - 400), 80, np.uint8), ((100, 200), (150, 250))))
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    # Half a pixel of the image reduced by 2 to 4, and up to one for the threshold on the averaged edge.
    tolerance_px = 2 * -(-max(shape) // 1024)
    ends = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    np.testing.assert_allclose(ends, (100, height - 200, 150, width - 250), atol=tolerance_px)


def test_same_answer_every_time_and_input_untouched():
    pixels = np.where(disc(700, 700, 300), generator.integers(20, 90, (700, 700)), 2).astype(np.uint8)
    before = pixels.copy()
    pixels.flags.writeable = False
    first = find_field_of_view(pixels)
    np.testing.assert_array_equal(find_field_of_view(pixels), first)
    np.testing.assert_array_equal(pixels, before)
    first[0, 0] = True  # the caller's own


# Real photographs and angiograms


def _mask(path, shape):
    import cv2
    from PIL import Image

    with Image.open(path) as image:
        mask = np.asarray(image.convert("L")) > 127
    if mask.shape != shape:
        mask = cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return mask if mask[shape[0] // 2, shape[1] // 2] else ~mask  # IDRiD's masks are true outside


SETS = {
    "idrid_fullres": ("images/*.jpg", "fov/{}_MASK.png", 4),
    "hrf": ("images/*", "fov/{}_mask.png", 6),
    "drive/training": ("images/*.tif", "mask/{}_mask.gif", 20),
    "eyeq/lowq_512": ("images/*.png", "fov_800/{}_fov.png", 40),
}


@pytest.mark.parametrize("name", SETS)
def test_published_masks(name):
    import cv2

    images, masks, count = SETS[name]
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"real photographs are not here: {folder} (set FUNDUSRT_DATA)")
    overlaps = []
    for path in sorted(folder.glob(images))[:count]:
        pixels = cv2.imread(str(path))
        mask = _mask(folder / masks.format(path.stem), pixels.shape[:2])
        overlaps.append(overlap(find_field_of_view(pixels), mask))
    assert len(overlaps) == count
    assert np.median(overlaps) >= 0.98
    # Three EyeQ masks, made at another size, leave out an evenly dark lower part that belongs to the photograph.
    assert min(overlaps) >= 0.94


# Drawn by hand on reduced copies with brightness times 12: corners (y, x) in parts of the frame, clockwise.
ANGIOGRAMS = {
    "01.jpg": [
        (0.015, 0.13),
        (0.0, 0.17),
        (0.0, 0.84),
        (0.04, 0.9),
        (0.1, 0.99),
        (1 - 0.04, 1.0),
        (0.995, 0.06),
        (0.95, 0.03),
        (0.77, 0.015),
        (0.48, 0.0),
    ],
    "03.jpg": [
        (0.047, 0.82),
        (0.053, 0.92),
        (0.13, 0.965),
        (0.2, 1.0),
        (0.82, 1.0),
        (0.915, 0.955),
        (0.99, 0.455),
        (0.93, 0.23),
        (0.82, 0.165),
        (0.69, 0.13),
        (0.35, 0.19),
        (0.215, 0.27),
        (0.13, 0.39),
    ],
}


@pytest.mark.parametrize("name", ANGIOGRAMS)
def test_real_widefield_angiograms(name):
    import cv2

    path = DATA / "uwfa" / name
    if not path.is_file():
        pytest.skip(f"real angiograms are not here: {path} (set FUNDUSRT_DATA)")
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    expected = polygon(*pixels.shape, ANGIOGRAMS[name])
    assert overlap(find_field_of_view(pixels), expected) >= 0.97


def test_widefield_angiogram_whose_periphery_is_almost_black():
    import cv2

    path = DATA / "uwfa" / "02.jpg"
    if not path.is_file():
        pytest.skip(f"real angiograms are not here: {path} (set FUNDUSRT_DATA)")
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    found = find_field_of_view(pixels)
    assert np.count_nonzero(pixels[found]) / np.count_nonzero(pixels) > 0.999  # whatever is not black is inside
    assert np.count_nonzero(pixels[~found]) / np.count_nonzero(~found) < 0.02
    assert 0.9 < found.mean() < 0.96
