"""SS-MAF's pairs: both sizes show the same picture, augmentation moves image and mask alike and follows its seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fundusrt.errors import UsageError
from fundusrt_training.data.camera import CameraAugmentation, through_another_camera
from fundusrt_training.data.exudates import pairs as pairs_module
from fundusrt_training.data.exudates import read_exudates
from fundusrt_training.data.exudates.pairs import (
    ExudateAugmentation,
    ExudatePairs,
    PairConfig,
    PairDraw,
    augment,
    window,
)
from fundusrt_training.losses.ss_maf import SsMafLossConfig, ss_maf_losses
from fundusrt_training.models.ss_maf import SsMaf, SsMafConfig, SsMafOutputs

SMALL = PairConfig(hr=(64, 96), lr=(32, 48))
STILL = ExudateAugmentation(p=0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One photograph whose green is high exactly where the mask is on, and one without lesions."""
    mask = np.zeros((120, 180), bool)
    mask[20:60, 30:90] = True
    for name, marked in (("a", mask), ("b", np.zeros_like(mask))):
        pixels = np.dstack([np.full(mask.shape, 120), np.where(marked, 200, 60), np.full(mask.shape, 30)])
        for part, array in (("images", pixels), ("masks", marked * 255)):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / part / f"{name}.png")
    return tmp_path


def test_a_pair(folder: Path) -> None:
    pair = ExudatePairs(read_exudates(folder), SMALL, STILL)[PairDraw(0, None)]
    lr, hr, labels = pair["lr"], pair["hr"], pair["labels"]
    assert isinstance(lr, torch.Tensor)
    assert isinstance(hr, torch.Tensor)
    assert isinstance(labels, torch.Tensor)
    assert (lr.shape, hr.shape, labels.shape) == ((3, 32, 48), (3, 64, 96), (64, 96))
    assert (lr.dtype, hr.dtype, labels.dtype) == (torch.float32, torch.float32, torch.uint8)
    np.testing.assert_allclose(hr[:, 0, 0], [120 / 127.5 - 1, 60 / 127.5 - 1, 30 / 127.5 - 1], rtol=0, atol=1e-6)
    green = hr[1] > 0.0  # between 60 and 200
    assert float((green == (labels == 1)).float().mean()) > 0.98
    small = lr[1] > 0.0
    assert float((small == (labels[::2, ::2] == 1)).float().mean()) > 0.95
    assert pair["name"] == "a"


@pytest.mark.parametrize("seed", range(12))
def test_image_and_mask_move_alike(folder: Path, seed: int) -> None:
    case = read_exudates(folder)[0]
    pixels = np.asarray(Image.open(case.image))
    strong = ExudateAugmentation(p=1.0, jitter=(0.0, 0.0, 0.0, 0.0))
    moved, mask = augment(pixels, case.mask(), strong, (seed,))
    assert not np.array_equal(moved, pixels)
    inside = moved[..., 0] > 110  # what did not come in from outside
    assert ((moved[..., 1] > 130)[inside] == mask[inside]).mean() > 0.98
    again, same = augment(pixels, case.mask(), strong, (seed,))
    np.testing.assert_array_equal(again, moved)
    np.testing.assert_array_equal(same, mask)
    assert not np.array_equal(augment(pixels, case.mask(), strong, (seed, 1))[0], moved)


def test_colour_changes_leave_the_mask_alone(folder: Path) -> None:
    case = read_exudates(folder)[0]
    pixels = np.asarray(Image.open(case.image))
    changed = [augment(pixels, case.mask(), ExudateAugmentation(shift=0.0, rotate=0.0), (seed,)) for seed in range(40)]
    assert len({image.tobytes() for image, _ in changed}) > 20
    shapes = {mask.tobytes() for _, mask in changed}
    flips = {case.mask()[::y, ::x].tobytes() for y in (1, -1) for x in (1, -1)}
    assert shapes == flips


@pytest.mark.parametrize("seed", range(6))
def test_a_grey_photograph_is_worked_on_as_one_plane_with_the_same_result(seed: int) -> None:
    random = np.random.default_rng(seed)
    plane = random.integers(0, 256, (90, 120), np.uint8)
    mask = plane > 250
    camera = CameraAugmentation(p=0.7)
    results: list[np.ndarray] = []
    for planes in (1, 3):
        grey = through_another_camera(np.repeat(plane[..., None], planes, axis=2), camera, (seed, 2))
        moved, moved_mask = augment(grey, mask, ExudateAugmentation(p=0.7), (seed,))
        part, labels = window(moved, moved_mask, (48, 64), 0.5, (seed, 3))
        assert part.shape == (48, 64, planes)
        results += [np.broadcast_to(part, (48, 64, 3)), labels]
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[3])
    assert not np.array_equal(results[0][..., 0], plane[:48, :64])


def test_photographs_that_are_kept_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[Path] = []
    read = pairs_module.read_image
    monkeypatch.setattr(pairs_module, "read_image", lambda path: (files.append(path), read(path))[1])
    cases = read_exudates(folder)
    one = 120 * 180 * (3 + 1)
    turns = [PairDraw(0, (1,)), PairDraw(1, (2,)), PairDraw(0, (3,)), PairDraw(1, (4,))]
    found: list[list[bytes]] = []
    for keep, expected in ((0, "abab"), (one, "abb"), (2 * one, "ab")):
        pairs, augmentation = [], ExudateAugmentation(p=1.0)
        data = ExudatePairs(cases, SMALL, augmentation, CameraAugmentation(p=1.0), keep=keep)
        for draw in turns:
            pair: Any = data[draw]
            pairs.append(pair["hr"].numpy().tobytes() + pair["labels"].numpy().tobytes())
        assert "".join(path.stem for path in files) == expected
        found.append(pairs)
        files.clear()
    assert found[0] == found[1] == found[2]
    data = ExudatePairs(cases, SMALL, STILL, keep=2 * one)
    data.read_ahead()
    files.clear()
    assert data[PairDraw(1, None)]["name"] == "b"
    assert not files


def test_the_objective_falls_on_one_pair(folder: Path) -> None:
    torch.manual_seed(0)
    pairs = ExudatePairs(read_exudates(folder), SMALL, STILL)
    both: list[Any] = [pairs[PairDraw(i, None)] for i in (0, 1)]
    lr, hr, labels = (torch.stack([pair[name] for pair in both]) for name in ("lr", "hr", "labels"))
    network = SsMaf(SsMafConfig(base=4, d=8))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    losses: list[float] = []
    for _ in range(30):
        outputs = network(lr)
        assert isinstance(outputs, SsMafOutputs)
        terms = ss_maf_losses(outputs, labels.long(), hr, SsMafLossConfig())
        assert set(terms) == {"seg", "sr", "fused_seg", "fused_sr", "loss"}
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(float(terms["loss"].detach()))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5


def test_terms_follow_the_stream_and_the_configuration() -> None:
    torch.manual_seed(0)
    x, labels, hr = torch.rand(1, 3, 32, 32), torch.randint(0, 2, (1, 64, 64)), torch.rand(1, 3, 64, 64)

    def terms(stream: Any, **fields: Any) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        outputs = SsMaf(SsMafConfig(stream=stream, base=4, d=8))(x)
        assert isinstance(outputs, SsMafOutputs)
        made = ss_maf_losses(outputs, labels, hr, SsMafLossConfig(**fields))
        return {name: value.detach() for name, value in made.items()}

    assert set(terms("unet_interp")) == {"seg", "loss"}
    assert set(terms("unet_interp_sr")) == {"seg", "sr", "loss"}
    full, plain = terms("full"), terms("full", seg="ce", fuse_seg="ce")
    assert float(full["loss"]) == pytest.approx(sum(float(v) for k, v in full.items() if k != "loss"), rel=1e-6)
    assert not torch.equal(full["fused_seg"], plain["fused_seg"])
    assert torch.equal(full["sr"], plain["sr"])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PairConfig(hr=(100, 100), lr=(48, 48)), r"data\.hr: got \(100, 100\) for data\.lr \(48, 48\)"),
        (lambda: PairConfig(hr=(8, 8), lr=(4, 4)), r"data\.hr: got \(8, 8\)"),
        (lambda: PairConfig(std=0.0), r"data\.std: got 0.0"),
        (lambda: ExudateAugmentation(p=2.0), r"aug\.p: got 2.0"),
        (lambda: ExudateAugmentation(rotate=-1.0), r"aug\.rotate: got -1.0"),
        (lambda: ExudateAugmentation(jitter=(0.0, 0.0, 0.0, 0.9)), r"aug\.jitter \(hue\): got 0.9"),
        (lambda: SsMafLossConfig(seg="focal"), r"loss\.seg: got 'focal'"),  # pyright: ignore
        (lambda: SsMafLossConfig(cbce_beta=1.0), r"loss\.cbce_beta: got 1.0"),
        (lambda: SsMafLossConfig(rmi_weight=2.0), r"loss\.rmi_weight: got 2.0"),
    ],
)
def test_refused_configuration(make: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        make()
