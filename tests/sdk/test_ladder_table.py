"""The table of limits: whole, and what a certificate may state."""

from __future__ import annotations

from typing import get_args

import pytest

from fundusrt.agreement import measured
from fundusrt.certificate import Certificate, check_certificate
from fundusrt.errors import CertificateError
from fundusrt.ladder import LADDER, limit_of, loosest
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
            assert (limit.value >= 0.99) if limit.bound == "at_least" else (0 <= limit.value <= 0.05)


def test_the_loosest_limits() -> None:
    assert loosest("wavelet-rewrite", "at_most") == 1e-3
    assert loosest("no such rung", "at_most") == 1e-3
    assert loosest("precision-int8", "at_most") == 5e-2
    assert loosest("task", "at_most") == 5e-3
    assert loosest("task", "at_least") == 0.99


def test_a_figure_takes_its_limit_from_the_table() -> None:
    figure = measured("task", "dice", 0.9979, "eye")
    assert (figure.metric, figure.limit, figure.bound, figure.holds) == ("eye: Dice", 0.998, "at_least", False)
    assert limit_of("cgnr", "pixels").value == 0.0


@pytest.mark.parametrize(("limit", "refused"), [(2e-2, False), (3e-2, True)])
def test_a_certificate_may_state_the_tables_limit_and_no_looser_one(tmp_path, limit: float, refused: bool) -> None:
    bundle = Bundle.open(tiny_bundle(tmp_path / "tiny", tile_px=64, whole_px=64))
    content = bundle.certificate
    figure = content.rungs[0].measurements[0].model_copy(update={"limit": limit, "value": 1e-2})
    rung = content.rungs[0].model_copy(update={"name": "precision-fp16", "measurements": (figure,)})
    changed = Certificate.model_validate({**content.model_dump(), "rungs": [*content.rungs, rung]})
    source = changed.model_dump_json().encode()
    if refused:
        with pytest.raises(CertificateError, match=r"rung precision-fp16: got .*, limit 0.03; expected .* <= 0.02"):
            check_certificate(source, bundle.manifest, "tiny")
    else:
        assert check_certificate(source, bundle.manifest, "tiny").rungs[-1] == rung
