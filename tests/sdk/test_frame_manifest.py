"""Manifests of the systems that see one frame: what they refuse, and what their certificates must hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from fundusrt.manifest import (
    AnyManifest,
    CmwnetManifest,
    MageNetManifest,
    SsMafManifest,
    parse_manifest,
    parse_manifest_json,
)
from fundusrt.testing import tiny_enhancement_manifest, tiny_exudate_manifest, tiny_manifest


def changed(manifest: AnyManifest, **changes: Any) -> dict[str, Any]:
    """The fields of a manifest; `a__b` is field b of a."""
    made = json.loads(manifest.model_dump_json())
    for path, value in changes.items():
        place = made
        *parents, last = path.split("__")
        for parent in parents:
            place = place[parent]
        place[last] = value
    return made


def content(**changes: Any) -> dict[str, Any]:
    return changed(tiny_exudate_manifest(), **changes)


def parse(made: dict[str, Any]) -> Any:
    return parse_manifest_json(json.dumps(made).encode())


def test_the_system_says_which_class_it_is() -> None:
    for manifest in (tiny_manifest(), tiny_exudate_manifest(), tiny_enhancement_manifest()):
        again = parse_manifest_json(manifest.model_dump_json().encode())
        assert type(again) is type(manifest)
        assert again == manifest == parse_manifest(manifest.model_dump(mode="json"))
        assert again.content_sha256() == manifest.content_sha256()


def test_defaults() -> None:
    made = SsMafManifest.model_validate(
        {**content(input={}, frame={"height_px": 96, "width_px": 96}, postprocess={}), "output_scale": 2}
    )
    assert (made.input.colour, made.input.channels) == ("rgb", 3)
    assert (made.input.mean, made.input.std) == ((0.0,) * 3, (1.0,) * 3)
    assert (made.frame.shrink, made.frame.enlarge, made.frame.outside) == ("area", "cubic", "black")
    assert (made.postprocess.upsample, made.postprocess.threshold) == ("bilinear", 0.5)


def test_each_system_has_its_own_rungs() -> None:
    whole = ("wavelet-rewrite", "torch-to-onnxruntime", "tiled-to-stitched")
    assert CmwnetManifest.required_rungs == ("wavelet-matrix", *whole, "cgnr", "task")
    for kind in (SsMafManifest, MageNetManifest):
        assert kind.required_rungs == ("deployed-form", "torch-to-onnxruntime", "end-to-end", "task")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"new_field": 1}, "new_field"),
        ({"frame__new_field": 1}, "frame.new_field"),
        ({"tile": {"size": 64}}, "tile"),
        ({"task": "enhancement"}, "task"),
        ({"system": "mage-net"}, "label"),
        ({"system": "unet"}, "'unet' found using 'system' does not match any of the expected tags"),
        ({"frame__height_px": 8}, "height_px"),
        ({"frame__shrink": "cubic"}, "shrink"),
        ({"frame__enlarge": "nearest"}, "enlarge"),
        ({"frame__outside": "white"}, "outside"),
        ({"frame__width_px": 112}, r"networks.segmentation.input: got shape .*, expected \(N, 3, 96, 112\)"),
        ({"input__channels": 1}, "channels: got 1 with colour rgb, expected 3, or colour green"),
        ({"input__colour": "bgr"}, "colour"),
        ({"input__std": [1.0, 0.0, 1.0]}, "std"),
        ({"postprocess__threshold": 0.0}, "threshold"),
        ({"postprocess__upsample": "cubic"}, "upsample"),
        ({"output_scale": 0}, "output_scale"),
        ({"output_scale": 3}, r"networks.segmentation.output: got shape .*, expected \(N, 1, 288, 288\)"),
        ({"networks__segmentation__role": "tile"}, "networks.segmentation.role: got tile, expected frame"),
        (
            {"networks__segmentation__input__shape": [2, 3, 96, 96]},
            "got 2 images at once, expected 1 or a free dimension",
        ),
        ({"networks__segmentation__output__shape": ["n", 2, 192, 192]}, "networks.segmentation.output: got shape"),
        ({"networks": {}}, "networks: a ss-maf bundle needs 'segmentation'"),
        ({"golden__mask": "other.png"}, "files: no sha256 recorded for other.png"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parse(content(**changes))


def test_height_and_width_may_be_free() -> None:
    made = parse(
        content(
            networks__segmentation__input__shape=["n", 3, "h", "w"],
            networks__segmentation__output__shape=["n", 1, "h2", "w2"],
        )
    )
    assert isinstance(made, SsMafManifest)


def test_green_may_have_one_plane_or_three() -> None:
    parse(content(input__colour="green"))
    one = content(input__colour="green", input__channels=1, networks__segmentation__input__shape=["n", 1, 96, 96])
    assert parse(one).input.channels == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [("input__colour", "green"), ("frame__outside", "black"), ("postprocess__upsample", "nearest"), ("label", "other")],
)
def test_the_content_hash_sees_every_choice(path: str, value: str) -> None:
    assert parse(content(**{path: value})).content_sha256() != parse(content()).content_sha256()


def test_the_content_hash_is_stable() -> None:
    """Other languages compute it too: it may not change with a version of pydantic or Python."""
    expected = "02dda6a9be66a060ad90ade259f3b4de829f0c0b7bb1487462654e95545b0760"
    assert tiny_exudate_manifest().content_sha256() == expected


# --- enhancement


def enhancement(**changes: Any) -> dict[str, Any]:
    return changed(tiny_enhancement_manifest(), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "x"}, "label"),
        ({"task": "segmentation"}, "task"),
        ({"postprocess__to_native": "tiles"}, "to_native"),
        ({"input__colour": "green"}, "input.colour: got green, expected rgb: the answer is a colour image"),
        ({"networks__enhancement__output__shape": ["n", 1, 96, 96]}, r"expected \(N, 3, 96, 96\)"),
        ({"networks__enhancement__output__shape": ["n", 3, 192, 192]}, r"expected \(N, 3, 96, 96\)"),
        ({"golden__result": "other.png"}, "files: no sha256 recorded for other.png"),
    ],
)
def test_refusals_of_enhancement(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parse(enhancement(**changes))


def test_enhancement_adds_what_was_changed_unless_told_otherwise() -> None:
    assert parse(enhancement(postprocess={})).postprocess.to_native == "residual"
    assert tiny_enhancement_manifest().frame.outside == "black"


def test_the_content_hash_of_enhancement_is_stable() -> None:
    assert tiny_enhancement_manifest().content_sha256() == (
        "4c9d9b93ac463b88bfd03f6f3d6e3f6461c4fbd25314fb43b621d289b44d3b9a"
    )
