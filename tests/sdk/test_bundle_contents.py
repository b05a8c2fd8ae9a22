"""Networks, golden arrays and images of a bundle that are not what they should be, although all hashes hold."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundusrt
from fundusrt import Bundle, BundleError
from tests.sdk.bundle_attacks import reseal
from tests.sdk.test_onnx_file import both, in_function, in_nested_ifs

# --- networks that point outside


@pytest.mark.parametrize("make", [in_nested_ifs, lambda tensor: in_function(tensor, default=True)])
def test_external_onnx_data_is_refused_although_all_hashes_hold(tiny_copy: Path, make: Any) -> None:
    (tiny_copy / "large.onnx").write_bytes(make(both("secret")).SerializeToString())
    reseal(tiny_copy)
    with pytest.raises(BundleError, match=r"large.onnx, tensor 'secret': got data in another file"):
        Bundle.open(tiny_copy)


def test_a_network_that_is_no_protocol_buffer(tiny_copy: Path) -> None:
    (tiny_copy / "large.onnx").write_bytes(b"\xff" * 100)
    reseal(tiny_copy)
    with pytest.raises(BundleError, match=r"large.onnx: got bytes that are no ONNX model"):
        Bundle.open(tiny_copy)


# --- golden arrays and images


def rewrite(folder: Path, name: str, content: bytes) -> Bundle:
    (folder / name).write_bytes(content)
    reseal(folder)
    return Bundle.open(folder)


def saved(*arrays: Any, pickled: bool = False, archive: bool = True) -> bytes:
    stream = io.BytesIO()
    if archive:
        np.savez(stream, *arrays)
    else:
        np.save(stream, arrays[0], allow_pickle=pickled)
    return stream.getvalue()


class Trap:
    """Unpickling this would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("unpickled", "w"))


def test_pickled_golden_arrays_are_not_unpickled(
    tiny_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    objects = np.array([Trap()], dtype=object)
    for content in (saved(objects, pickled=True, archive=False), saved(objects)):
        bundle = rewrite(tiny_copy, "golden/whole.npz", content)
        with pytest.raises(BundleError, match=r"golden/whole.npz: got Object arrays cannot be loaded"):
            bundle.read_array("golden/whole.npz")
        with pytest.raises(BundleError, match=r"golden/whole.npz: got Object arrays cannot be loaded"):
            fundusrt.load(tiny_copy)
    import pickle

    bundle = rewrite(tiny_copy, "golden/whole.npz", pickle.dumps(Trap()))
    with pytest.raises(BundleError, match=r"golden/whole.npz: got .*; expected one plain NumPy array"):
        bundle.read_array("golden/whole.npz")
    assert not (tmp_path / "unpickled").exists()


def huge_header() -> bytes:
    content = saved(np.zeros(4), archive=False)
    return content.replace(b"(4,), }" + b" " * 14, b"(" + b"9" * 15 + b",), }")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x05\x06" + b"\0" * 18,
        b"PK\x03\x04 no zip",
        saved(np.zeros(3), np.ones(3)),
        saved(np.zeros(300))[:-40],
        saved(np.zeros(300))[: len(saved(np.zeros(300))) // 2],
        saved(np.zeros(300), archive=False)[:-8],
        huge_header(),
        b"\x93NUMPY\x01\0v\0" + b"{" * 118,
        b"\x93NUMPY\x09\0v\0" + b" " * 118,
    ],
)
def test_what_is_no_array(tiny_copy: Path, content: bytes) -> None:
    bundle = rewrite(tiny_copy, "golden/grid.npz", content)
    with pytest.raises(BundleError, match=r"golden/grid.npz: got .*; expected one plain NumPy array"):
        bundle.read_array("golden/grid.npz")


def test_an_array_that_would_inflate_without_end_is_not_loaded(tiny_copy: Path) -> None:
    stream = io.BytesIO(saved(np.zeros(4)))
    content = stream.getvalue()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = archive.infolist()[0].file_size
    lie = content.replace(struct.pack("<I", size), struct.pack("<I", 2**32 - 2))
    bundle = rewrite(tiny_copy, "golden/grid.npz", lie)
    with pytest.raises(BundleError, match=r"golden/grid.npz: got 4294967294 bytes; at most 2147483648 were expected"):
        bundle.read_array("golden/grid.npz")


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image(tiny_copy: Path, content: bytes) -> None:
    bundle = rewrite(tiny_copy, "golden/mask.png", content)
    with pytest.raises(BundleError, match=r"golden/mask.png: got no 8-bit image; expected a PNG file"):
        bundle.read_image("golden/mask.png")
