"""The C interface driven through ctypes: buffers, errors, versions, threads."""

from __future__ import annotations

import ctypes as c
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fundusrt.bundle import Bundle, shipped_bundles
from tests.cpp.c_library import CLibrary, Failure, Image
from tests.cpp.eyes import eye


@pytest.fixture(scope="module")
def library(built: Path) -> CLibrary:
    return CLibrary(built / "libfundusrt_c.so")


@pytest.fixture(scope="module")
def pipeline(library: CLibrary) -> Iterator[c.c_void_p]:
    bundle = library.open_bundle(shipped_bundles()["exudate"])
    made = library.create(bundle, threads=1)
    library.raw.frt_bundle_close(bundle)  # a pipeline does not need it any more
    yield made
    library.raw.frt_pipeline_destroy(made)


def mask_of(library: CLibrary, pipeline: c.c_void_p, pixels: np.ndarray) -> str:
    result = library.run(pipeline, pixels)
    digest = hashlib.sha256(library.array(result, "mask").tobytes()).hexdigest()
    library.raw.frt_result_free(result)
    return digest


def test_version_handshake(library: CLibrary) -> None:
    assert library.raw.frt_abi_version() == 0x00010000
    for other in (0x00020000, 0x00000001, 0x00010001):
        with pytest.raises(Failure, match="ABI version") as caught:
            library.check(library.raw.frt_check_abi(c.c_uint32(other)))
        assert caught.value.code == "usage-error"


def test_identity(library: CLibrary) -> None:
    bundle = library.open_bundle(shipped_bundles()["enhance"])
    assert library.raw.frt_bundle_name(bundle) == b"enhance"
    assert library.raw.frt_bundle_sha256(bundle).decode() == Bundle.open("enhance").sha256
    library.raw.frt_bundle_close(bundle)


def test_rows_further_apart(library: CLibrary, pipeline: c.c_void_p) -> None:
    pixels = eye("photograph, small")
    wide = np.full((pixels.shape[0], pixels.shape[1] + 13, 3), 201, np.uint8)
    wide[:, : pixels.shape[1]] = pixels
    expected = mask_of(library, pipeline, pixels)
    assert mask_of(library, pipeline, wide[:, : pixels.shape[1]]) == expected
    bottom_up = np.ascontiguousarray(pixels[::-1])[::-1]
    assert bottom_up.strides[0] < 0
    assert mask_of(library, pipeline, bottom_up) == expected


def test_timings_and_provider(library: CLibrary, pipeline: c.c_void_p) -> None:
    result = library.run(pipeline, eye("photograph, small"))
    assert list(library.timings(result)) == ["frame", "network", "upsample", "lesions"]
    library.raw.frt_result_free(result)
    assert library.raw.frt_pipeline_provider(pipeline) == b"onnxruntime:CPUExecutionProvider"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"channels": 4}, "4 channels"),
        ({"bits": 12}, "12 bits"),
        ({"height": 31}, "at least 32"),
        ({"height": -1}, "at least 32"),
        ({"width": 2**62, "height": 2**62}, "at most"),
        ({"data": None}, "no pixels"),
        ({"stride_bytes": 3}, "3 bytes apart"),
        ({"mm_per_px": float("nan")}, "mm_per_px"),
    ],
)
def test_images_that_cannot_be_used(library: CLibrary, pipeline: c.c_void_p, fields: dict, text: str) -> None:
    with pytest.raises(Failure, match=text) as caught:
        library.run(pipeline, eye("photograph, small"), **fields)
    assert caught.value.code == "invalid-input"


def test_black_image_is_answered(library: CLibrary, pipeline: c.c_void_p) -> None:
    result = library.run(pipeline, np.zeros((64, 80), np.uint8))
    assert library.raw.frt_result_gradable(result) == 0
    assert b"black" in library.raw.frt_result_reason(result)
    assert not library.array(result, "mask").any()
    with pytest.raises(Failure, match="image"):
        library.array(result, "image")  # a segmentation has none
    library.raw.frt_result_free(result)


def test_null_pointers_and_sizes(library: CLibrary, pipeline: c.c_void_p) -> None:
    made = c.c_void_p()
    wrong = Image(size=3)
    for status in (
        library.raw.frt_run(None, None, None),
        library.raw.frt_run(pipeline, c.byref(wrong), c.byref(made)),
        library.raw.frt_bundle_open(None, c.byref(made)),
        library.raw.frt_pipeline_create(None, None, c.byref(made)),
        library.raw.frt_result_mask(None, None, None, None),
    ):
        assert library.raw.frt_status_name(status) == b"usage-error"
    assert not made
    library.raw.frt_bundle_close(None)
    library.raw.frt_result_free(None)


@pytest.mark.parametrize(
    "options",
    [
        {"device": b"cuda"},
        {"backend": b"onnxruntime-tensorrt", "device": b"cuda"},
        {"backend": b"onnxruntime-tensorrt-rtx", "device": b"cuda"},
        {"backend": b"openvino"},
        {"precision": b"fp16"},
    ],
)
def test_nothing_else_is_run(library: CLibrary, options: dict) -> None:
    bundle = library.open_bundle(shipped_bundles()["exudate"])
    with pytest.raises(Failure) as caught:
        library.create(bundle, **options)
    library.raw.frt_bundle_close(bundle)
    assert caught.value.code == "backend-unavailable"


def test_engine_that_is_not_there(library: CLibrary) -> None:
    bundle = library.open_bundle(shipped_bundles()["exudate"])
    with pytest.raises(Failure, match="fundusrt build") as caught:
        library.create(bundle, backend=b"tensorrt", device=b"cuda")
    library.raw.frt_bundle_close(bundle)
    assert caught.value.code == "engine-mismatch"


def test_threads_share_a_pipeline(library: CLibrary, pipeline: c.c_void_p) -> None:
    names = ("photograph, small", "angiogram, small", "tab and cut rim", "noisy surround")
    expected = {name: mask_of(library, pipeline, eye(name)) for name in names}
    wrong: list[str] = []

    def work(start: int) -> None:
        for turn in range(3):
            name = names[(start + turn) % len(names)]
            if mask_of(library, pipeline, eye(name)) != expected[name]:
                wrong.append(name)
            # Each thread has its own last error.
            library.raw.frt_bundle_open(f"/nowhere/{start}".encode(), c.byref(c.c_void_p()))
            if f"/nowhere/{start}".encode() not in library.raw.frt_last_error():
                wrong.append("last error")

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
