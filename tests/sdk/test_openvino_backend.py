"""Backend `openvino`: the same contract as ONNX Runtime's, and the same masks."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt import BackendUnavailable, BundleError
from fundusrt._tiny_onnx import pixel_classifier
from fundusrt.backends import InferenceSession, open_session
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.backends.openvino import OpenVinoSession
from fundusrt.testing import tiny_image
from fundusrt.verification import verify_bundle
from tests.sdk.bundle_attacks import reseal
from tests.sdk.command_line import invoke
from tests.tolerances import SIGMOID_FLOAT32

CONTENT = pixel_classifier(64, (0.5, -1.5, 2.0), 0.25)
FEED = np.random.default_rng(0).random((3, 3, 64, 64), np.float32)


@pytest.fixture(scope="module")
def session() -> OpenVinoSession:
    return OpenVinoSession(CONTENT, source="small.onnx", threads=1)


@pytest.fixture
def both(tiny_copy: Path) -> Path:
    """The tiny bundle with a variant for OpenVINO in the same file."""
    networks = fundusrt.Bundle.open(tiny_copy).manifest.model_dump(mode="json")["networks"]
    for network in networks.values():
        network["variants"].append({**network["variants"][0], "target": "openvino"})
    reseal(tiny_copy, networks=networks)
    return tiny_copy


def test_the_contract(session: OpenVinoSession) -> None:
    assert isinstance(session, InferenceSession)
    assert session.name == "openvino:CPU"
    other = OnnxRuntimeSession(CONTENT, source="small.onnx", threads=1)
    shapes = [{name: spec.shape[1:] for name, spec in each.inputs.items()} for each in (session, other)]
    assert shapes[0] == shapes[1] == {"image": (3, 64, 64)}
    assert list(session.outputs) == list(other.outputs) == ["probability"]
    for batch in (1, 3):
        made, expected = (each.run({"image": FEED[:batch]})["probability"] for each in (session, other))
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, expected, rtol=0, atol=SIGMOID_FLOAT32)


def test_it_computes_in_float32(session: OpenVinoSession) -> None:
    """In bfloat16, the plugin's own choice on some processors, the error would be 1e-3."""
    weights = np.float64([0.5, -1.5, 2.0])
    truth = 1.0 / (1.0 + np.exp(-(np.einsum("c,nchw->nhw", weights, FEED.astype(np.float64)) + 0.25)))
    assert np.abs(session.run({"image": FEED})["probability"][:, 0] - truth).max() <= SIGMOID_FLOAT32


def test_threads_take_turns(session: OpenVinoSession) -> None:
    """A request that is asked while it runs would refuse."""
    feeds = [np.random.default_rng(seed).random((4, 3, 64, 64), np.float32) for seed in range(8)]
    alone = [session.run({"image": feed})["probability"] for feed in feeds]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda feed: session.run({"image": feed})["probability"], feeds * 25))
    for position, made in enumerate(together):
        np.testing.assert_array_equal(made, alone[position % len(feeds)])


def test_the_caller_owns_the_answers(session: OpenVinoSession) -> None:
    feed = FEED[:1].copy()
    first = session.run({"image": feed})["probability"]
    kept = first.copy()
    session.run({"image": 1.0 - feed})
    np.testing.assert_array_equal(first, kept)
    first[:] = 7.0
    np.testing.assert_array_equal(session.run({"image": feed})["probability"], kept)
    np.testing.assert_array_equal(feed, FEED[:1])


@pytest.mark.parametrize(
    ("feeds", "got"),
    [
        ({"image": FEED[:, :1]}, r"image of float32 \(3, 1, 64, 64\)"),
        ({"image": FEED[0]}, r"image of float32 \(3, 64, 64\)"),
        ({"image": FEED.astype(np.float64)}, r"image of float64"),
        ({"picture": FEED}, "inputs picture"),
        ({}, "inputs none"),
    ],
)
def test_what_it_would_convert_is_refused(session: OpenVinoSession, feeds: Any, got: str) -> None:
    with pytest.raises(
        BackendUnavailable, match=rf"small.onnx: got OpenVINO failed: {got}.*; expected image \('\?', 3"
    ):
        session.run(feeds)


SIGNALLED = """
import gc, os, signal, sys, threading
from fundusrt.backends.openvino import OpenVinoSession

def open_and_close():
    OpenVinoSession(content, source="small.onnx").close()
    gc.collect()

content = sys.stdin.buffer.read()
signal.signal(signal.SIGINT, lambda *_: print("heard"))
kept = [OpenVinoSession(content, source="small.onnx")]
def let_go():
    kept.clear()
    gc.collect()
for work in (let_go, open_and_close):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_signal_after_a_session_was_let_go_on_another_thread() -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALLED], input=CONTENT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"heard\nheard\n"), done.stderr.decode()


def test_closed() -> None:
    opened = open_session("openvino", "cpu", CONTENT, source="small.onnx", threads=None)
    opened.close()
    with pytest.raises(BackendUnavailable, match=r"small.onnx: got a call after close\(\); expected an open session"):
        opened.run({"image": FEED})


@pytest.mark.parametrize("content", [b"", b"\x08\x08", b"not a model", CONTENT[:-40]])
def test_bytes_that_are_no_model(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"small.onnx: got OpenVINO .*; expected a valid ONNX model; export the"):
        OpenVinoSession(content, source="small.onnx")


def test_not_installed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    message = (
        r"backend 'openvino': got import failed .*; expected the openvino package; pip install \"fundusrt\[openvino"
    )
    with pytest.raises(BackendUnavailable, match=message):
        OpenVinoSession(CONTENT, source="small.onnx")


def test_a_bundle_runs_and_says_so(both: Path) -> None:
    results = {}
    for backend in ("onnxruntime", "openvino"):
        with fundusrt.load(both, backend=backend, threads=1) as pipeline:
            results[backend] = pipeline(tiny_image())
    made, expected = results["openvino"], results["onnxruntime"]
    np.testing.assert_allclose(made.probability, expected.probability, rtol=0, atol=1e-5)
    assert np.mean(made.mask != expected.mask) <= 1e-4
    assert made.provenance.backend == "openvino"
    assert made.provenance.provider == "openvino:CPU"
    assert "openvino" in made.provenance.versions
    assert expected.provenance.backend == "onnxruntime"


def test_the_golden_vectors_hold_on_it(both: Path) -> None:
    rungs = verify_bundle(str(both), backend="openvino")
    assert [rung.name for rung in rungs if not rung.holds] == []


def test_a_bundle_without_a_variant_for_it(tiny: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"got openvino/fp32; expected one of onnxruntime/fp32; choose one"):
        fundusrt.load(tiny, backend="openvino")


def test_another_device(tiny: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"device: got 'gpu' with backend 'openvino'; expected 'cpu'"):
        fundusrt.load(tiny, backend="openvino", device="gpu")


def test_inspect_shows_the_variants(both: Path) -> None:
    shown = invoke("inspect", both).stdout
    assert "variants" in shown
    assert shown.count("openvino") == 2


def test_doctor_lists_it() -> None:
    from fundusrt.machine import examine

    (finding,) = [each for each in examine() if each.what == "openvino"]
    assert "backend openvino on the CPU" in finding.detail
    assert not finding.needed
