"""The manifest refuses what it does not know, and its content hash covers every field but `files`."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from fundusrt.manifest import (
    CmwnetManifest,
    MageNetManifest,
    PostprocessSpec,
    SsMafManifest,
    manifest_schema,
    parse_manifest_json,
)
from fundusrt.testing import tiny_manifest


def content(**changes: Any) -> dict[str, Any]:
    made = json.loads(tiny_manifest(tile_px=64, whole_px=32).model_dump_json())
    for path, value in changes.items():
        place = made
        *parents, last = path.split("__")
        for parent in parents:
            place = place[parent]
        place[last] = value
    return made


def parse(made: dict[str, Any]) -> Any:
    return parse_manifest_json(json.dumps(made).encode())


def test_a_manifest_survives_json() -> None:
    manifest = tiny_manifest(tile_px=64, whole_px=32)
    again = parse(content())
    assert again == manifest
    assert again.content_sha256() == manifest.content_sha256()


def test_defaults_are_the_specification_s() -> None:
    manifest = tiny_manifest()
    assert manifest.preprocess.clahe is not None
    assert (manifest.preprocess.clahe.clip, manifest.preprocess.clahe.grid, manifest.preprocess.gamma) == (2.0, 8, 1.2)
    assert (manifest.tile.size, manifest.tile.round, manifest.whole_image.size) == (512, "nearest", 512)
    post = PostprocessSpec()
    assert (post.threshold, post.w_large, post.order, post.upsample_on) == (0.5, 0.3, "cgnr_then_fuse", "prob")
    assert (post.cgnr.enabled, post.cgnr.mode, post.cgnr.base) == (True, "parallel", "small")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"new_field": 1}, "new_field"),
        ({"preprocess__new_field": 1}, "preprocess.new_field"),
        ({"postprocess__cgnr__new_field": 1}, "postprocess.cgnr.new_field"),
        ({"format": "other"}, "format"),
        ({"format_version": 2}, "format_version"),
        ({"system": "unet"}, "system"),
        ({"name": "../etc"}, "name"),
        ({"postprocess__threshold": 0.0}, "threshold"),
        ({"postprocess__threshold": 1e-50}, "threshold"),
        ({"postprocess__threshold": 1.0}, "threshold"),
        ({"postprocess__threshold": "0.5"}, "threshold"),
        ({"postprocess__threshold": math.nan}, "threshold"),
        ({"postprocess__w_large": 1.01}, "w_large"),
        ({"postprocess__w_large": math.nan}, "w_large"),
        ({"postprocess__order": "none"}, "order"),
        ({"postprocess__cgnr__mode": "serial"}, "mode"),
        ({"preprocess__gamma": 0.0}, "gamma"),
        ({"preprocess__gamma": math.inf}, "gamma"),
        ({"preprocess__mean": [0.0, math.nan, 0.0]}, "mean"),
        ({"preprocess__mean": [0.0, 0.0]}, "mean"),
        ({"preprocess__std": [1.0, 0.0, 1.0]}, "std"),
        ({"preprocess__channels": 2}, "channels"),
        ({"preprocess__clahe__clip": -1.0}, "clip"),
        ({"tile__overlap": 8}, "overlap"),
        ({"tile__size": 8}, "size"),
        ({"networks__large__variants": []}, "variants"),
        ({"files": {}}, "files: no sha256 recorded for MODEL_CARD.md"),
        ({"networks__large__role": "tile"}, "networks.large.role: got tile, expected whole_image"),
        ({"tile__size": 128}, r"networks.small.input: got shape .*, expected \(N, 3, 128, 128\)"),
        ({"whole_image__size": 64}, r"networks.large.input: got shape .*, expected \(N, 3, 64, 64\)"),
        ({"preprocess__channels": 1}, r"networks.large.input: got shape .*, expected \(N, 1, 32, 32\)"),
        ({"networks__small__output__shape": ["n", 2, 64, 64]}, "networks.small.output: got shape"),
        ({"networks__small__output__shape": ["n", 64, 64]}, "networks.small.output: got shape"),
        ({"networks__small__input__dtype": "float16"}, "dtype"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parse(content(**changes))


def test_both_networks_are_needed() -> None:
    made = content()
    del made["networks"]["small"]
    with pytest.raises(ValidationError, match="needs both 'large' and 'small'"):
        parse(made)


def test_free_dimensions_may_have_any_name() -> None:
    parse(content(networks__small__input__shape=["n", 3, "h", "w"], networks__small__output__shape=[4, 1, 64, 64]))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [leaf for key, child in items for leaf in leaves(child, (*path, key))] or [path]


def test_the_content_hash_covers_every_field_but_files() -> None:
    """Every single value changed a little, where the result is still a manifest, changes the hash."""
    original = content()
    digest = parse(original).content_sha256()
    digests = {digest}
    changed = 0
    for path in leaves(original):
        for other in (
            lambda v: v + 0.125,
            lambda v: v + 1,
            lambda v: not v,
            lambda v: f"{v}2",
            lambda v: _next_choice(v),
        ):
            made = copy.deepcopy(original)
            place = made
            for key in path[:-1]:
                place = place[key]
            try:
                place[path[-1]] = other(place[path[-1]])
                hashed = parse(made).content_sha256()
            except (TypeError, ValidationError):
                continue
            changed += 1
            if path[0] == "files":
                assert hashed == digest
            else:
                assert hashed not in digests, path
                digests.add(hashed)
    assert changed > 30


CHOICES = [
    ("nearest", "ceil"),
    ("area", "bilinear"),
    ("parallel", "raster"),
    ("prob", "logit"),
    ("cgnr_then_fuse", "cgnr_only"),
]


def _next_choice(value: Any) -> str:
    for first, second in CHOICES:
        if value == first:
            return second
    raise TypeError(value)


def test_the_content_hash_is_stable() -> None:
    """Other languages compute it too: it may not change with a version of pydantic or Python."""
    expected = "d7c68b2a366bf6b0bbfb4dec090d90a94e48a34f5ac49963cb95e99fc750587e"
    assert tiny_manifest().content_sha256() == expected


def test_the_schema_describes_every_field_of_every_system() -> None:
    schema = manifest_schema()
    assert schema["discriminator"]["propertyName"] == "system"
    for kind in (CmwnetManifest, SsMafManifest, MageNetManifest):
        described = schema["$defs"][kind.__name__]
        assert set(described["properties"]) == set(kind.model_fields)
        assert described["additionalProperties"] is False


def test_manifests_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        tiny_manifest().tile.size = 3  # type: ignore[misc]
