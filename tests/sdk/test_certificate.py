"""A certificate is refused unless it is whole, fits the bundle, and every figure holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundusrt import Bundle, CertificateError
from fundusrt.certificate import Certificate, Measurement, check_certificate
from fundusrt.manifest import CmwnetManifest
from fundusrt.testing import tiny_bundle
from tests.sdk.bundle_attacks import record, reseal

Change = Callable[[dict[str, Any]], None]


def check(folder: Path, change: Change) -> Certificate:
    """Check the bundle's certificate after a change, as if its hash in `bundle.json` had been changed too."""
    bundle = Bundle.open(folder)
    content = json.loads((folder / "certificate.json").read_text())
    change(content)
    return check_certificate(json.dumps(content).encode(), bundle.manifest, "tiny.frt")


NEW = {"metric": "new", "value": 2.0, "limit": 1.0, "bound": "at_most"}


def measurement(rung: int = 0, number: int = 0, **fields: Any) -> Change:
    return lambda content: content["rungs"][rung]["measurements"][number].update(fields)


def test_the_unchanged_certificate_holds(tiny: Path) -> None:
    certificate = check(tiny, lambda _: None)
    assert tuple(rung.name for rung in certificate.rungs) == CmwnetManifest.required_rungs
    assert all(rung.holds for rung in certificate.rungs)


def test_a_rung_of_a_later_version_only_has_to_hold(tiny: Path) -> None:
    figure = {**NEW, "value": 1.0}
    more = check(tiny, lambda c: c["rungs"].append({**c["rungs"][5], "name": "new", "measurements": [figure]}))
    assert more.rungs[-1].name == "new"


def test_each_file_of_a_reduced_precision_is_certified(tiny_copy: Path) -> None:
    networks = json.loads((tiny_copy / "bundle.json").read_text())["networks"]
    for name, network in networks.items():
        file = f"{name}-int8.onnx"
        shutil.copy(tiny_copy / network["variants"][0]["file"], tiny_copy / file)
        record(tiny_copy, file)
        network["variants"].append({**network["variants"][0], "precision": "int8", "file": file})
    reseal(tiny_copy, networks=networks)
    whole = Bundle.open(tiny_copy).certificate
    assert whole.rungs[-1].name == "precision-int8"
    assert len(whole.rungs[-1].measurements) == 14
    with pytest.raises(CertificateError, match="got no rung precision-int8; expected the rungs wavelet-matrix"):
        check(tiny_copy, lambda c: c["rungs"].pop())
    message = r"rung precision-int8: got no figure 'small-int8.onnx: cosine'; expected every figure of the ladder"
    with pytest.raises(CertificateError, match=message):
        check(tiny_copy, lambda c: c["rungs"][-1]["measurements"].pop(-5))


REFUSALS: list[tuple[Change, str]] = [
    (
        lambda c: c["rungs"].pop(1),
        "no rung wavelet-rewrite; expected the rungs wavelet-matrix, wavelet-rewrite, torch-to-onnxruntime, ti",
    ),
    (lambda c: c["rungs"].clear(), "no rung wavelet-matrix, wavelet-rewrite, torch-to-onnxruntime"),
    (lambda c: c["rungs"][2].update(name="other"), "no rung torch-to-onnxruntime"),
    (lambda c: c["rungs"][2].update(measurements=[]), "rungs.2.measurements: Tuple should have at least 1 item"),
    (
        measurement(1, value=2e-4),
        r"rung wavelet-rewrite: got wavelet steps alone 0.0002, limit 1e-05, at most; expected .* <= 1e-05",
    ),
    (measurement(3, value=float("nan")), r"rung tiled-to-stitched: got max \|difference\| nan"),
    (measurement(value=float("inf")), "range inf, limit 1e-06"),
    (measurement(value=-float("inf")), "range -inf, limit 1e-06"),
    (measurement(limit=float("nan")), "limit nan"),
    (measurement(limit=float("inf")), r"limit inf, at most; expected max \|difference\| / range <= 1e-06"),
    (
        measurement(2, limit=0.5),
        r"rung torch-to-onnxruntime: got .* 0, limit 0.5, at most; expected max \|difference\| / range <= 0.0001",
    ),
    (measurement(value=4e-6, limit=1e-5), r"range 4e-06, limit 1e-05, at most; expected .* <= 1e-06"),
    (measurement(2, 1, value=0.98, limit=0.99999), "cosine 0.98, limit 1, at least; expected cosine >= 1"),
    (measurement(2, 1, value=0.9, limit=0.5), "limit 0.5, at least; expected cosine >= 1"),
    (measurement(2, 1, value=1.0, limit=-1.0), "limit -1, at least; expected cosine >= 1"),
    (measurement(2, 1, bound="at_most"), "cosine 1, limit 1, at most; expected cosine >= 1"),
    (
        measurement(5, metric="cosine"),
        "rung task: got the figure 'cosine'; expected a figure of the ladder: Dice; area",
    ),
    (measurement(5, metric="PSNR, dB", bound="at_least", value=60.0, limit=50.0), "rung task: got no figure 'Dice'"),
    (lambda c: c["rungs"][3]["measurements"].pop(1), "rung tiled-to-stitched: got no figure 'max .difference. of the"),
    (
        lambda c: c["rungs"].append({**c["rungs"][5], "name": "new", "measurements": [NEW]}),
        "rung new: got new 2, limit 1",
    ),
    (measurement(value=None), "rungs.0.measurements.0.value: Input should be a valid number"),
    (measurement(value="0"), "rungs.0.measurements.0.value: Input should be a valid number"),
    (measurement(bound="about"), "rungs.0.measurements.0.bound"),
    (measurement(holds=True), "rungs.0.measurements.0.holds: Extra inputs are not permitted"),
    (
        lambda c: c.update(manifest_sha256="0" * 64),
        "another manifest than bundle.json; expected a certificate made for this",
    ),
    (lambda c: c["files"].pop("large.onnx"), "no matching sha256 for large.onnx; expected every ONNX file certified"),
    (lambda c: c["files"].update({"small.onnx": "0" * 64}), "no matching sha256 for small.onnx"),
    (lambda c: c.update(format_version=2), "format_version"),
    (lambda c: c.update(signature="x"), "signature: Extra inputs are not permitted"),
    (lambda c: c.pop("rungs"), "rungs: Field required"),
]


@pytest.mark.parametrize(("change", "message"), REFUSALS)
def test_refusals(tiny: Path, change: Change, message: str) -> None:
    with pytest.raises(CertificateError, match=f"tiny.frt, certificate.json.*{message}.*; export the bundle again"):
        check(tiny, change)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"'])
def test_what_is_no_certificate(tiny: Path, content: bytes) -> None:
    with pytest.raises(CertificateError, match=r"tiny.frt, certificate.json: got .*; expected a FundusRT certificate"):
        check_certificate(content, Bundle.open(tiny).manifest, "tiny.frt")


def test_the_certificate_of_another_bundle(tiny: Path, tmp_path: Path) -> None:
    other = tiny_bundle(tmp_path / "other", tile_px=64, whole_px=48)
    with pytest.raises(CertificateError, match=r"another manifest than bundle.json"):
        check_certificate((other / "certificate.json").read_bytes(), Bundle.open(tiny).manifest, "tiny.frt")


@pytest.mark.parametrize(
    ("bound", "value", "limit", "holds"),
    [
        ("at_most", 1.0, 1.0, True),
        ("at_most", 1.0000001, 1.0, False),
        ("at_least", 1.0, 1.0, True),
        ("at_least", 0.9999999, 1.0, False),
        ("at_most", float("nan"), 1.0, False),
        ("at_least", float("nan"), 1.0, False),
        ("at_least", float("inf"), 1.0, False),
        ("at_most", 0.0, float("inf"), False),
        ("at_least", 0.0, -float("inf"), False),
    ],
)
def test_holds(bound: Any, value: float, limit: float, holds: bool) -> None:
    assert Measurement(metric="m", value=value, limit=limit, bound=bound).holds is holds


@given(content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_bytes_are_answered_by_a_certificate_error(tiny: Path, content: bytes) -> None:
    with pytest.raises(CertificateError):
        check_certificate(content, Bundle.open(tiny).manifest, "tiny.frt")
