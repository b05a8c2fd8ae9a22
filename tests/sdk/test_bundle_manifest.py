"""A `bundle.json` that is newer, larger, deeper or other than it may be is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundusrt import Bundle, BundleError
from tests.sdk.bundle_attacks import change_manifest


def test_a_newer_format_says_so(tiny_copy: Path) -> None:
    change_manifest(tiny_copy, format_version=2, entirely_new={"field": 1})
    message = (
        "bundle.json, format_version: got Input should be 1; expected a manifest of format version 1; "
        "update fundusrt, or export the bundle again with this version"
    )
    with pytest.raises(BundleError, match=message):
        Bundle.open(tiny_copy)


def test_an_unknown_field_is_refused(tiny_copy: Path) -> None:
    change_manifest(tiny_copy, preprocess__sharpen=True)
    with pytest.raises(BundleError, match=r"bundle.json, preprocess.sharpen: got Extra inputs are not permitted"):
        Bundle.open(tiny_copy)


def test_a_manifest_that_claims_more_than_can_be(tiny_copy: Path) -> None:
    content = json.loads((tiny_copy / "bundle.json").read_text())
    content["files"]["MODEL_CARD.md"]["bytes"] = 2**40
    (tiny_copy / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match=r"bundle.json, files: got 10995.* bytes in all; expected at most 2147483648"):
        Bundle.open(tiny_copy)


def test_a_huge_manifest_is_not_read(tiny_copy: Path) -> None:
    (tiny_copy / "bundle.json").write_bytes(b" " * (4 * 2**20 + 1))
    with pytest.raises(BundleError, match=r"bundle.json: got 4194305 bytes; at most 4194304 were expected"):
        Bundle.open(tiny_copy)


def test_deeply_nested_json(tiny_copy: Path) -> None:
    depth = sys.getrecursionlimit() * 20
    (tiny_copy / "bundle.json").write_text('{"name":' * depth + "1" + "}" * depth)
    with pytest.raises(BundleError, match=r"bundle.json"):
        Bundle.open(tiny_copy)


# --- fuzzing


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
        st.sampled_from(["../x", "/x", "large.onnx", "0" * 64, "tile", 512, 64, 0.5]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=5,
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON document."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@given(data=st.data())
def test_a_mutated_manifest_is_refused_or_means_the_same(tiny: Path, data: st.DataObject) -> None:
    target = fuzzing_copy(tiny)
    content = json.loads((tiny / "bundle.json").read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(content)))
        action = data.draw(st.sampled_from(["replace", "delete", "add"]))
        if action == "delete" and key in (container if isinstance(container, dict) else range(len(container))):
            del container[key]
        elif action == "add" and isinstance(container, dict):
            container[data.draw(st.text(max_size=6))] = data.draw(JSON)
        elif isinstance(container, dict) or key < len(container):
            container[key] = data.draw(JSON)
    (target / "bundle.json").write_text(json.dumps(content))
    try:
        bundle = Bundle.open(target)
    except BundleError:
        pass
    else:
        assert bundle.manifest.content_sha256() == Bundle.open(tiny).manifest.content_sha256()


@given(
    content=st.one_of(st.binary(max_size=100), st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
)
def test_any_bytes_in_place_of_the_manifest_are_answered(tiny: Path, content: bytes) -> None:
    target = fuzzing_copy(tiny)
    (target / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle.json"):
        Bundle.open(target)


CACHE: dict[str, Any] = {}


def fuzzing_copy(tiny: Path) -> Path:
    """One copy for all examples: only its `bundle.json` is written."""
    if "copy" not in CACHE:
        CACHE["copy"] = Path(shutil.copytree(tiny, tiny.parent / "fuzz"))
    return CACHE["copy"]
