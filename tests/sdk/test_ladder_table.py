"""The table of limits: whole, and what a certificate may state."""

from __future__ import annotations

from typing import get_args

import pytest

from fundusrt.agreement import measured
from fundusrt.certificate import Certificate, Measurement, check_certificate
from fundusrt.errors import CertificateError
from fundusrt.ladder import LADDER, limit_for, limit_of, needed_limits
from fundusrt.manifest import AnyManifest
from fundusrt.manifest.bundle import VARIANTS_RUNG
from fundusrt.testing import tiny_bundle
from fundusrt.verification import Bundle


def test_every_required_rung_is_in_the_table() -> None:
    for kind in get_args(AnyManifest):
        assert {*kind.required_rungs, VARIANTS_RUNG} <= set(LADDER)


def test_every_limit_has_its_reason() -> None:
    assert [kind.code for kind in LADDER.values() if kind.code] == sorted(
        kind.code for kind in list(LADDER.values())[:11]
    ) + [kind.code for kind in list(LADDER.values())[11:] if kind.code]
    for kind in LADDER.values():
        assert kind.limits
        for limit in kind.limits.values():
            assert limit.why
            assert limit.metric
            assert (limit.value >= 0.97) if limit.bound == "at_least" else (0 <= limit.value <= 0.05)


def test_a_figure_finds_its_limit_by_its_name() -> None:
    assert limit_for("task", "Dice") is limit_of("task", "dice")
    assert limit_for("end-to-end", "map on the frame: max |difference|") is limit_of("end-to-end", "map")
    assert limit_for("end-to-end", "frame: max |difference| / range") is limit_of("end-to-end", "frame")
    assert limit_for("task", "a Dice") is None
    assert limit_for("no such rung", "Dice") is None
    for rung, kind in LADDER.items():
        for limit in kind.limits.values():
            assert limit_for(rung, f"small: {limit.metric}") is limit


def test_what_a_certificate_must_have() -> None:
    assert [each.metric for each in needed_limits("task", "enhancement")] == ["PSNR, dB", "SSIM"]
    assert [each.metric for each in needed_limits("task", "segmentation")] == ["Dice", "area difference / area"]
    assert len(needed_limits("precision-int8", "segmentation")) == 7
    assert len(needed_limits("precision-int8", "enhancement")) == 5
    for rung in LADDER:
        assert needed_limits(rung, "segmentation") or needed_limits(rung, "enhancement")


def test_a_figure_takes_its_limit_from_the_table() -> None:
    figure = measured("task", "dice", 0.9979, "eye")
    assert (figure.metric, figure.limit, figure.bound, figure.holds) == ("eye: Dice", 0.998, "at_least", False)
    assert limit_of("cgnr", "pixels").value == 0.0


@pytest.mark.parametrize(("limit", "refused"), [(2e-2, False), (3e-2, True)])
def test_a_certificate_may_state_the_tables_limit_and_no_looser_one(tmp_path, limit: float, refused: bool) -> None:
    bundle = Bundle.open(tiny_bundle(tmp_path / "tiny", tile_px=64, whole_px=64))
    content = bundle.certificate
    metric = "small-fp16.onnx: 99.9th percentile of |difference|"
    figure = Measurement(metric=metric, value=1e-2, limit=limit, bound="at_most")
    rung = content.rungs[0].model_copy(update={"name": "precision-fp16", "measurements": (figure,)})
    changed = Certificate.model_validate({**content.model_dump(), "rungs": [*content.rungs, rung]})
    source = changed.model_dump_json().encode()
    if refused:
        with pytest.raises(
            CertificateError, match=r"rung precision-fp16: got .*, limit 0.03, at most; expected .* <= 0.02"
        ):
            check_certificate(source, bundle.manifest, "tiny")
    else:
        assert check_certificate(source, bundle.manifest, "tiny").rungs[-1] == rung
