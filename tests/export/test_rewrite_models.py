"""`rewrite_wavelets` on whole models: what it finds, keeps, proves and declines."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fundusrt_export.errors import RewriteDeclined, RewriteMismatch
from fundusrt_export.rewrite import ConvDWT, ConvIDWT, rewrite_wavelets
from fundusrt_export.rewrite.filters import FilterBank
from fundusrt_export.rewrite.library import is_library_module
from fundusrt_training.models.unet_wavelet import UNetWavelet, UNetWaveletConfig
from tests.export.wavelet_cases import distance, library, noise
from tests.tolerances import WAVELET_REWRITE_FLOAT32


class Denoiser(nn.Module):
    """Somebody else's model: two transforms, one of them shared, and a threshold between them."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 4, 3, padding=1)
        self.analysis = library.DWTForward(J=3, wave="db3", mode="symmetric")
        self.blocks = nn.ModuleDict(
            {"same": self.analysis, "inverse": library.DWTInverse(wave="db3", mode="symmetric")}
        )

    def forward(self, image: Tensor, strength: float = 0.1) -> Tensor:
        low, highs = self.analysis(self.before(image))
        highs = [nn.functional.softshrink(high, strength) for high in highs]
        return self.blocks["inverse"]((low, highs))


def names_of_library_modules(model: nn.Module) -> list[str]:
    return [path for path, module in model.named_modules() if is_library_module(module)]


@pytest.mark.parametrize(
    "example", [(noise(1, 3, 37, 41, dtype=torch.float32),), (noise(2, 3, 16, 16, dtype=torch.float32), 0.2)]
)
def test_foreign_model_is_equal_and_left_alone(example: tuple[Any, ...]) -> None:
    model = Denoiser().eval()
    before = copy.deepcopy(model.state_dict())
    made = rewrite_wavelets(model, example=example)
    assert names_of_library_modules(made) == []
    assert names_of_library_modules(model) == ["analysis", "blocks.inverse"]
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    with torch.no_grad():
        assert distance(model(*example), made(*example)) <= WAVELET_REWRITE_FLOAT32
    assert made.before.weight is not model.before.weight


def test_shared_instance_stays_one_instance() -> None:
    made = rewrite_wavelets(Denoiser())
    assert made.analysis is made.blocks["same"]
    assert type(made.analysis) is ConvDWT
    assert type(made.blocks["inverse"]) is ConvIDWT


def test_a_transform_may_be_the_model_itself() -> None:
    assert type(rewrite_wavelets(library.DWTForward(), example=noise(1, 1, 8, 8, dtype=torch.float32))) is ConvDWT


def test_a_reference_from_a_plain_list_to_a_registered_transform_follows() -> None:
    model = Denoiser()
    model.order = [model.analysis]
    made = rewrite_wavelets(model)
    assert made.order[0] is made.analysis


def test_state_dicts_stay_interchangeable() -> None:
    model = Denoiser()
    made = rewrite_wavelets(model)
    assert list(made.state_dict()) == list(model.state_dict())
    other = Denoiser()
    other.analysis.h0_col.mul_(2)
    made.load_state_dict(other.state_dict())
    x = noise(1, 3, 20, 20, dtype=torch.float32)
    with torch.no_grad():
        assert distance(other(x), made(x)) <= WAVELET_REWRITE_FLOAT32  # the kernel followed the loaded filters
    model.load_state_dict(made.state_dict())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_and_mode_are_kept(dtype: torch.dtype) -> None:
    model = nn.Sequential(library.DWTForward(wave="db2")).to(dtype).eval()
    made = rewrite_wavelets(model, example=noise(1, 1, 8, 8).to(dtype))
    assert not made[0].training
    assert made(noise(1, 1, 8, 8).to(dtype))[0].dtype == dtype
    assert rewrite_wavelets(model.train())[0].training


@pytest.mark.parametrize(
    "keywords", [{}, {"highs": "zero"}, {"highs": "predicted"}, {"wave": "bior2.2", "dwt_mode": "reflect"}]
)
def test_our_own_network(keywords: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = UNetWavelet(UNetWaveletConfig(base=8, levels=2, **keywords)).eval()
    x = noise(2, 3, 32, 48, dtype=torch.float32)
    made = rewrite_wavelets(network, example=x)
    assert names_of_library_modules(made) == []
    assert list(made.state_dict()) == list(network.state_dict())
    with torch.no_grad():
        assert distance(network(x), made(x)) <= WAVELET_REWRITE_FLOAT32


class OwnForward(library.DWTForward):
    def forward(self, x: Tensor) -> Any:
        return super().forward(2 * x)


class SameForward(library.DWTForward):
    pass


def test_a_subclass_counts_unless_it_computes_something_else() -> None:
    assert type(rewrite_wavelets(SameForward())) is ConvDWT
    with pytest.raises(RewriteDeclined, match=r"inner: OwnForward: got a transform, or an overridden forward"):
        rewrite_wavelets(nn.ModuleDict({"inner": OwnForward()}))


def with_hook() -> nn.Module:
    module = library.DWTForward()
    module.register_forward_hook(lambda *_: None)
    return module


def learned() -> nn.Module:
    module = library.DWTForward()
    taps = module.h0_col
    del module.h0_col
    module.h0_col = nn.Parameter(taps)
    return module


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: library.DWTForward(mode="constant"),
            r"DWTForward: got mode 'constant'; expected one of zero, symmetric",
        ),
        (lambda: library.DWTInverse(mode="replicate"), r"DWTInverse: got mode 'replicate'"),
        (lambda: library.DTCWTForward(), r"DTCWTForward: got a transform"),
        (lambda: library.DTCWTInverse(), r"DTCWTInverse: got a transform"),
        (lambda: library.DWT1DForward(), r"DWT1DForward: got a transform"),
        (lambda: library.ScatLayer(), r"ScatLayer: got a transform"),
        (lambda: library.dwt.transform2d.SWTForward(), r"SWTForward: got a transform"),
        (lambda: library.DWTForward(wave=([1.0, 1.0, 1.0], [1.0, -1.0])), r"got filters of 3, 2 taps along W"),
        (lambda: library.DWTForward(wave=([1.0] * 3, [1.0] * 3), mode="per"), r"even for periodization"),
        (with_hook, r"got hooks on the transform; remove the hooks"),
        (learned, r"got learned filters \(parameters\); expected fixed filters"),
    ],
)
def test_declines_by_name(make: Any, message: str) -> None:
    with pytest.raises(RewriteDeclined, match=rf"deep\.0: {message}|deep\.0.*{message}"):
        rewrite_wavelets(nn.ModuleDict({"deep": nn.Sequential(make())}))


def test_odd_filters_work_where_no_period_is_involved() -> None:
    """A 3-tap filter bank of the user's own."""
    filters = ([0.25, 0.5, 0.25], [0.5, 0.0, -0.5])
    for mode in ("zero", "symmetric", "reflect", "periodic"):
        model = library.DWTForward(J=2, wave=filters, mode=mode)
        for size in ((12, 13), (15, 16)):
            rewrite_wavelets(model, example=noise(1, 2, *size, dtype=torch.float32))


def test_a_transform_in_a_plain_container_is_not_overlooked() -> None:
    model = nn.Conv2d(1, 1, 1)
    model.hidden = {"a": [library.DWTForward()]}
    with pytest.raises(
        RewriteDeclined, match=r"\(model\): attribute 'hidden': got a wavelet transform in a plain container"
    ):
        rewrite_wavelets(model)


def test_a_transform_the_example_does_not_reach_is_not_called_proved() -> None:
    class Branching(Denoiser):
        def forward(self, image: Tensor, strength: float = 0.1) -> Tensor:
            return self.analysis(image)[0]

    with pytest.raises(RewriteMismatch, match=r"blocks\.inverse: got never reached by the example"):
        rewrite_wavelets(Branching(), example=noise(1, 3, 16, 16, dtype=torch.float32))


def test_nan_on_the_example_is_no_proof() -> None:
    broken = torch.full((1, 1, 8, 8), float("nan"))
    with pytest.raises(RewriteMismatch, match=r"relative difference inf"):
        rewrite_wavelets(library.DWTForward(), example=broken)


FAULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "reversed filters": lambda kernel: kernel.flip(2, 3),
    "swapped bands": lambda kernel: kernel[[0, 2, 1, 3]],
    "factor 2 missing in LL": lambda kernel: torch.cat([kernel[:1] / 2, kernel[1:]]),
}


@pytest.mark.parametrize("fault", [*FAULTS, "another border"])
def test_a_planted_fault_is_found_and_named(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    derive = FilterBank._derive

    def faulty(self: FilterBank) -> None:
        derive(self)
        assert self.kernel is not None
        self.kernel = FAULTS[fault](self.kernel)

    if fault == "another border":
        monkeypatch.setattr("fundusrt_export.rewrite.replace.canonical_mode", lambda mode: "reflect")
    else:
        monkeypatch.setattr(FilterBank, "_derive", faulty)
    model = nn.Sequential(OrderedDict(inner=library.DWTForward(wave="db3", mode="symmetric")))
    with pytest.raises(RewriteMismatch, match=r"inner: output [01]: got torch\.float32 .* relative difference"):
        rewrite_wavelets(model, example=noise(1, 2, 21, 24, dtype=torch.float32))
