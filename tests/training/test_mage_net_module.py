"""MAGE-Net's module: the teacher follows, bad photographs touch consistency alone, ablations, other runs' weights."""

from __future__ import annotations

import pytest
import torch

from fundusrt.errors import UsageError
from fundusrt_training.systems.mage_net import MageNetModule
from fundusrt_training.systems.mean_teacher import consistency, ramp
from fundusrt_training.systems.resumable import part_of
from fundusrt_training.systems.vessel import VesselModule
from fundusrt_training.systems.vessel_config import VesselConfig
from fundusrt_training.systems.vessel_task import VesselTask
from tests.training.tiny_mage_net import random_batch, tiny_config

VESSEL = VesselConfig(net=tiny_config().net.rsp)


def same(state: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


def test_a_step_adds_consistency_with_the_weight_of_its_time() -> None:
    module = MageNetModule(tiny_config("optim.epochs=10", "teacher.ramp_frac=0.5"))
    module.batches_per_epoch = 4
    values = []
    for step in (0, 10, 30):
        module.progress.step = step
        terms, further = module.step_losses(random_batch(0, unlabelled=5))
        mu = ramp(step, 40, module.config.teacher)
        assert further == {"mu": mu}
        assert terms["loss"].item() == pytest.approx(terms["sup"].item() + mu * terms["con"].item())
        values.append(mu)
    assert values[0] < values[1] < values[2] == 1.0


def test_it_learns() -> None:
    """One batch of dimmed images: after a few steps the answer is much closer to the target than the input is."""
    module = MageNetModule(tiny_config("teacher.enabled=false", "optim.lr=0.01"))
    module.batches_per_epoch = 40
    batch = random_batch(0)
    batch["target"] = batch["target"] * 0.5 + 0.5
    batch["image"] = batch["target"] * 0.5
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.Optimizer)
    for _ in range(40):
        optimizer.zero_grad()
        module.step_losses(batch)[0]["loss"].backward()
        optimizer.step()
    before = (batch["image"] - batch["target"]).square().mean()
    after = (module.enhance(batch["image"]) - batch["target"]).square().mean()
    assert float(after) < 0.2 * float(before)


def test_bad_photographs_change_consistency_alone() -> None:
    module = MageNetModule(tiny_config())
    module.progress.step = 7
    none, one, other = (module.step_losses(random_batch(0, unlabelled=seed))[0] for seed in (None, 5, 6))
    assert set(one) == {"stage1", "stage2", "seg", "sup", "con", "loss"}
    assert set(none) == set(one) - {"con"}
    for name in ("stage1", "stage2", "seg", "sup"):
        assert none[name].item() == one[name].item() == other[name].item()
    assert one["con"].item() != other["con"].item()
    assert none["loss"].item() == none["sup"].item()


def test_the_student_sees_the_photograph_and_the_teacher_its_noisy_twin() -> None:
    module = MageNetModule(tiny_config("teacher.noise_sigma=0"))
    teacher = module.teacher
    assert isinstance(teacher, torch.nn.Module)
    batch = random_batch(0, unlabelled=5)
    assert module.step_losses(batch)[0]["con"].item() == 0.0  # equal networks, equal images
    noisy = MageNetModule(tiny_config())
    first, again = (noisy.step_losses(batch)[0]["con"].item() for _ in range(2))
    assert first == again > 0.0
    noisy.progress.step = 1
    assert noisy.step_losses(batch)[0]["con"].item() != first
    torch.nn.init.zeros_(module.student.sam.to_image.weight)
    bad = batch.get("unlabelled")
    assert isinstance(bad, torch.Tensor)
    expected = consistency(module.student(bad), teacher(bad))
    torch.testing.assert_close(module.step_losses(batch)[0]["con"], expected)


def test_only_the_student_gets_a_gradient() -> None:
    module = MageNetModule(tiny_config())
    module.progress.step = 100
    module.step_losses(random_batch(0, unlabelled=5))[0]["loss"].backward()
    assert all(p.grad is None for p in module.parts()["teacher"].parameters())
    assert all(p.grad is not None for p in module.student.parameters())
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.Adam)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in module.student.parameters()}


@pytest.mark.parametrize(
    ("settings", "parts", "terms"),
    [
        ((), {"student", "teacher"}, {"stage1", "stage2", "seg", "con"}),
        (("net.stages=1",), {"student", "teacher"}, {"stage1", "con"}),
        (("net.use_rsp=false",), {"student", "teacher"}, {"stage1", "stage2", "con"}),
        (("teacher.enabled=false",), {"student"}, {"stage1", "stage2", "seg"}),
        (("net.cab_attention=false",), {"student", "teacher"}, {"stage1", "stage2", "seg", "con"}),
        (("loss.edge_weight=0",), {"student", "teacher"}, {"stage1", "stage2", "seg", "con"}),
        (("loss.char_weight=0",), {"student", "teacher"}, {"stage1", "stage2", "seg", "con"}),
        (("loss.seg_weight=0",), {"student", "teacher"}, {"stage1", "stage2", "con"}),
        (("loss.stage_weights=[0,1]",), {"student", "teacher"}, {"stage1", "stage2", "seg", "con"}),
        (("teacher.mu_max=0",), {"student", "teacher"}, {"stage1", "stage2", "seg", "con"}),
        (("net.split=none", "net.fab_filter=conv1_prelu"), {"student", "teacher"}, {"stage1", "stage2", "seg", "con"}),
    ],
    # not `ids=str`: a set is written in another order in each process
    ids=lambda value: " ".join(sorted(value)) or "as it is",
)
def test_each_ablation_takes_a_step(settings: tuple[str, ...], parts: set[str], terms: set[str]) -> None:
    module = MageNetModule(tiny_config(*settings))
    module.batches_per_epoch = 1
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.Optimizer)
    before = {name: value.clone() for name, value in module.weights().items()}
    found, _ = module.step_losses(random_batch(0, unlabelled=5 if "teacher" in parts else None))
    assert set(found) - {"loss", "sup"} == terms
    found["loss"].backward()
    optimizer.step()
    module.progress.step = 1
    module.after_step()
    assert set(module.parts()) == parts
    after = module.weights()
    assert any(not torch.equal(after[name], before[name]) for name in after if name.startswith("student."))
    if "teacher" in parts:  # the first step's a is 0
        assert same(part_of(after, "teacher"), part_of(after, "student"))
    if "net.cab_attention=false" in settings:
        assert not any("attention" in name for name in after if ".rsp." not in name)
    assert module.enhance(torch.rand(1, 3, 96, 96)).shape == (1, 3, 96, 96)


def test_what_is_deployed() -> None:
    image = torch.rand(1, 3, 96, 96) * 1.5 - 0.25
    for settings, part in (
        ((), "teacher"),
        (("export.weights=student",), "student"),
        (("teacher.enabled=false",), "student"),
    ):
        module = MageNetModule(tiny_config(*settings))
        for name, network in module.parts().items():
            if name != part:
                torch.nn.init.ones_(network.stage2.to_image.weight)  # pyright: ignore
        assert module.config.deployed == part
        expected = module.parts()[part](image).stages[-1].clamp(0, 1).detach()
        torch.testing.assert_close(module.enhance(image), expected)
        assert module.student.training


def test_a_vessel_network_becomes_the_structure_module() -> None:
    vessel, module = VesselModule(VESSEL), MageNetModule(tiny_config("run.seed=3"))
    before = module.weights()
    others = {name: value.clone() for name, value in before.items() if ".rsp." not in name}
    assert not same(part_of(before, "student.rsp"), part_of(vessel.weights(), "network"))
    module.start_from_vessels(part_of(vessel.weights(), "network"), vessel.config.net)
    after = module.weights()
    for part in ("student", "teacher"):
        assert same(part_of(after, f"{part}.rsp"), part_of(vessel.weights(), "network"))
    assert same({name: value for name, value in after.items() if ".rsp." not in name}, others)
    with pytest.raises(UsageError, match=r"--init: got weights of another network: .*set the same net.rsp.\* values"):
        module.start_from_vessels({}, VesselConfig().net)
    for setting in ("net.use_rsp=false", "net.stages=1"):
        with pytest.raises(UsageError, match="expected weights of mage-net: this network has no structure module"):
            MageNetModule(tiny_config(setting)).start_from_vessels({}, VESSEL.net)


def test_other_runs_weights() -> None:
    alone, both = MageNetModule(tiny_config("teacher.enabled=false", "run.seed=1")), MageNetModule(tiny_config())
    both.start_from(alone.weights(), alone.config.net)
    assert same(part_of(both.weights(), "student"), part_of(alone.weights(), "student"))
    assert same(part_of(both.weights(), "teacher"), part_of(alone.weights(), "student"))
    torch.nn.init.zeros_(both.parts()["teacher"].sam.mask.weight)  # pyright: ignore
    third = MageNetModule(tiny_config("run.seed=2"))
    third.start_from(both.weights(), both.config.net)
    assert same(third.weights(), both.weights())
    alone.start_from(both.weights(), both.config.net)
    assert same(part_of(alone.weights(), "student"), part_of(both.weights(), "student"))
    whole = MageNetModule(tiny_config("net.split=none"))
    whole.start_from(both.weights(), both.config.net)  # no weight depends on how the image is split
    assert same(whole.weights(), both.weights())
    with pytest.raises(UsageError, match=r"--init: got weights of another network: .*set the same net.\* values"):
        alone.start_from(both.weights(), tiny_config("net.n=8").net)


def test_most_systems_take_no_others_weights() -> None:
    with pytest.raises(UsageError, match="--init: got weights of system mage-net; expected vessel; give a checkpoint"):
        VesselTask(VESSEL).start_from_other("mage-net", {}, {})


def test_bf16_gives_nearly_the_losses_of_fp32() -> None:
    batch = random_batch(0, unlabelled=5)
    found = [
        MageNetModule(tiny_config(f"run.precision={precision}")).step_losses(batch)[0] for precision in ("fp32", "bf16")
    ]
    for name, value in found[0].items():
        assert found[1][name].dtype == torch.float32
        torch.testing.assert_close(found[1][name], value, rtol=0.05, atol=1e-3)
    assert any(not torch.equal(found[0][name], found[1][name]) for name in found[0])
    found[1]["loss"].backward()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (("data.side=104",), r"data\.side: got 104; expected a multiple of 16"),
        (("data.labelled=0",), r"data\.labelled: got 0"),
        (("data.unlabelled=-1",), r"data\.unlabelled: got -1"),
        (("data.flip=2",), r"data\.flip: got 2"),
        (("data.vessel_threshold=1",), r"data\.vessel_threshold: got 1"),
        (("net.rsp.in_channels=1",), r"net\.rsp\.in_channels: got 1"),
        (("net.rsp.classes=3",), r"net\.rsp\.classes: got 3"),
        (("loss.char_weight=0", "loss.edge_weight=0"), "loss: got every weight of the enhancement loss 0"),
        (("net.stages=1", "loss.stage_weights=[0,1]"), "loss: got every weight of the enhancement loss 0"),
        (("data.passes=0",), r"data\.passes: got 0"),
        (("data.degradations=0",), r"data\.degradations: got 0; expected at least 1, or null"),
        (("data.vessels_first=true",), r"data\.vessels_first: got true without data\.vessel_checkpoint"),
        (("export.weights=best",), r'export\.weights: got "best"; expected teacher, student'),
    ],
)
def test_refused_configuration(settings: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        tiny_config(*settings)
