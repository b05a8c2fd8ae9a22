"""The CMWNet system: its losses, the direction of its average, its schedule and its guards."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch

from fundusrt.errors import InvalidInput
from fundusrt_training.data.leakage import Batch
from fundusrt_training.errors import TrainingDiverged
from fundusrt_training.losses.consistency import consistency_loss
from fundusrt_training.systems.cmwnet import CmwnetModule
from fundusrt_training.systems.cmwnet_config import CmwnetConfig

Make = Callable[..., CmwnetConfig]


def batch(seed: int = 0, n: int = 2, size: int = 32) -> Batch:
    g = torch.Generator().manual_seed(seed)
    return {
        "tile": torch.rand(n, 3, size, size, generator=g),
        "tile_mask": (torch.rand(n, 1, size, size, generator=g) < 0.2).float(),
        "whole": torch.rand(n, 3, size, size, generator=g),
        "whole_mask": (torch.rand(n, 1, size, size, generator=g) < 0.2).float(),
        "window": torch.tensor([[0.0, 0.0, 0.5, 0.5]] * n),
        "name": [f"eye{i}" for i in range(n)],
    }


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_loss_is_the_papers(tiny_config: Make, alpha: float) -> None:
    module = CmwnetModule(tiny_config(f"ema.alpha={alpha}"))
    terms = {name: value.item() for name, value in module.losses(batch(), beta=0.7).items()}
    assert terms["L3"] == pytest.approx((1 - alpha) * terms["L1"] + alpha * terms["L2"], rel=1e-6)
    assert terms["loss"] == pytest.approx(terms["L3"] + 0.7 * terms["L4"], rel=1e-6)
    assert module.large is not None
    assert module.small is not None
    data = batch()
    large, small = module(module.large, data["whole"]), module(module.small, data["tile"])
    assert terms["L1"] == pytest.approx(module.segmentation_loss(large, data["whole_mask"]).item(), rel=1e-6)
    assert terms["L2"] == pytest.approx(module.segmentation_loss(small, data["tile_mask"]).item(), rel=1e-6)
    assert terms["L4"] == pytest.approx(consistency_loss(large, small, data["window"]).item(), rel=1e-6)


@pytest.mark.parametrize(("mode", "term"), [("crop", "L2"), ("down", "L1")])
def test_one_branch_modes_have_their_own_loss_only(tiny_config: Make, mode: str, term: str) -> None:
    module = CmwnetModule(tiny_config(f"mode={mode}"))
    terms = module.losses(batch(), beta=0.7)
    assert set(terms) == {term, "loss"}
    assert torch.equal(terms["loss"], terms[term])
    both = CmwnetModule(tiny_config())
    assert {name.split(".")[0] for name in module.weights()} == {"small" if mode == "crop" else "large"}
    for name, value in module.weights().items():
        assert torch.equal(value, both.weights()[name]), "a branch starts alike in every mode"


def _gradients(module: CmwnetModule, branch: str) -> dict[str, torch.Tensor]:
    named = {name: p.grad for name, p in module.named_parameters() if name.startswith(f"{branch}.")}
    return {name: gradient.clone() for name, gradient in named.items()}


def _norm(gradients: dict[str, torch.Tensor]) -> float:
    return float(torch.stack([gradient.norm() for gradient in gradients.values()]).norm())


@pytest.mark.parametrize("limit", [1e-3, 1e3, None])
def test_each_branch_is_clipped_by_itself_at_its_share_of_the_limit(tiny_config: Make, limit: float | None) -> None:
    both, crop = CmwnetModule(tiny_config("ema.alpha=0.25")), CmwnetModule(tiny_config("mode=crop"))
    both.losses(batch(), beta=0.0)["loss"].backward()
    crop.losses(batch(), beta=0.0)["loss"].backward()
    free = {branch: _norm(_gradients(both, branch)) for branch in ("large", "small")}
    for module in (both, crop):
        module.configure_gradient_clipping(torch.optim.SGD(module.parameters()), limit)
    top = math.inf if limit is None else limit
    assert _norm(_gradients(both, "large")) == pytest.approx(min(0.75 * top, free["large"]), rel=1e-4)
    assert _norm(_gradients(both, "small")) == pytest.approx(min(0.25 * top, free["small"]), rel=1e-4)
    # The tile branch moves as it does alone, up to the weight of its loss, which AdamW does not see.
    ours, alone = _gradients(both, "small"), _gradients(crop, "small")
    assert ours.keys() == alone.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, 0.25 * alone[name], rtol=1e-3, atol=1e-7)


def test_average_runs_from_small_to_large(tiny_config: Make) -> None:
    module = CmwnetModule(tiny_config("ema.alpha=0.3"))
    before = {name: value.clone() for name, value in module.weights().items()}
    assert any(
        not torch.equal(before[f"large.{n}"], before[f"small.{n}"]) for n in ("head.weight", "encoder.0.0.weight")
    )
    module.follow()
    after = module.weights()
    for name in after:
        if name.startswith("small."):
            assert torch.equal(after[name], before[name]), "the tile branch teaches, it does not follow"
        else:
            expected = 0.7 * before[name] + 0.3 * before[name.replace("large.", "small.", 1)]
            torch.testing.assert_close(after[name], expected, rtol=0, atol=1e-6)


def test_large_branch_without_gradients_only_follows(tiny_config: Make) -> None:
    module = CmwnetModule(tiny_config("ema.large_grad=false", "consistency.detach=none"))
    optimizer = module.configure_optimizers()["optimizer"]
    assert module.large is not None
    assert module.small is not None
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(module.small.parameters()))
    module.losses(batch(), beta=0.5)["loss"].backward()
    assert all(p.grad is None for p in module.large.parameters())
    assert all(p.grad is not None for p in module.small.parameters())
    down = CmwnetModule(tiny_config("ema.large_grad=false", "mode=down"))
    down.losses(batch(), beta=0.5)["loss"].backward()
    assert down.large is not None
    assert all(p.grad is not None for p in down.large.parameters())


def test_optimiser_and_schedule_are_the_papers() -> None:
    module = CmwnetModule(CmwnetConfig.from_dict({"unet": {"base": 8, "levels": 1}}))
    made = module.configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert isinstance(optimizer, torch.optim.AdamW)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"], group["amsgrad"]) == (5e-3, (0.9, 0.999), 3e-5, False)
    assert made["lr_scheduler"]["interval"] == "epoch"
    for epoch in range(51):
        expected = 1e-5 + (5e-3 - 1e-5) * (1 + math.cos(math.pi * epoch / 50)) / 2
        assert group["lr"] == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_beta_is_seeded(tiny_config: Make) -> None:
    step, again, run, const, other = (
        CmwnetModule(tiny_config(*s))
        for s in ([], [], ["beta.mode=run"], ["beta.mode=const", "beta.value=0.25"], ["run.seed=1"])
    )
    draws = [step.beta(i) for i in range(500)]
    assert draws == [again.beta(i) for i in range(500)]
    assert draws != [other.beta(i) for i in range(500)]
    assert 0 < min(draws) < 0.02
    assert 0.98 < max(draws) < 1
    assert len({run.beta(i) for i in range(20)}) == 1
    assert {const.beta(i) for i in range(20)} == {0.25}


def test_bf16_is_close_to_fp32_and_trains(tiny_config: Make) -> None:
    exact, fast = CmwnetModule(tiny_config()), CmwnetModule(tiny_config("run.precision=bf16"))
    a, b = (m.losses(batch(), beta=0.5)["loss"] for m in (exact, fast))
    assert b.dtype == torch.float32
    assert a.item() == pytest.approx(b.item(), rel=0.02)  # bfloat16: 8 bits, some ten layers
    b.backward()
    for parameter in fast.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32
        assert torch.isfinite(parameter.grad).all()


def test_channels_last_changes_no_number_that_matters(tiny_config: Make) -> None:
    a, b = CmwnetModule(tiny_config()), CmwnetModule(tiny_config("run.channels_last=false"))
    assert a.losses(batch(), 0.5)["loss"].item() == pytest.approx(b.losses(batch(), 0.5)["loss"].item(), rel=1e-4)


def test_a_loss_that_is_not_finite_names_the_batch(tiny_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    module = CmwnetModule(tiny_config())
    made = module.configure_optimizers()["optimizer"]
    monkeypatch.setattr(module, "optimizers", lambda: made)
    monkeypatch.setattr(module, "log", lambda *a, **k: None)
    data = batch()
    data["tile"][1, 0, 3, 3] = math.nan
    with pytest.raises(
        TrainingDiverged,
        match=r"loss at step 0 \(epoch 0, batch 0\): got .*L2 nan.*the batch was eye0, eye1; lower optim\.lr",
    ):
        module.training_step(data, 0)


def test_weights_that_do_not_fit_are_refused(tiny_config: Make) -> None:
    module = CmwnetModule(tiny_config())
    state = copy.deepcopy(module.weights())
    module.load_weights(state)
    missing = {name: value for name, value in state.items() if name != "small.head.bias"}
    with pytest.raises(
        InvalidInput, match=r"weights for mode cmwnet: got 1 tensors that do not fit, first small\.head\.bias"
    ):
        module.load_weights(missing)
    wider = CmwnetModule(tiny_config("unet.base=16")).weights()
    with pytest.raises(InvalidInput, match=r"tensors that do not fit"):
        module.load_weights(wider)


def test_plain_unet_is_a_backbone(tiny_config: Make) -> None:
    module = CmwnetModule(tiny_config("backbone=unet", "unet.wavelet_form=library", "run.precision=bf16"))
    terms = module.losses(batch(), beta=0.5)
    terms["loss"].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())
    with pytest.raises(
        InvalidInput,
        match=r"U-Net input: got 30 x 32 px; expected height and width multiples of 4 \(2\^2\); pad to 32 x 32",
    ):
        module(module.large, torch.zeros(1, 3, 30, 32))
