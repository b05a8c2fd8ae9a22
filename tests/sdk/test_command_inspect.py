"""`fundusrt inspect`: what it prints of a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import fundusrt
from tests.sdk.bundle_attacks import reseal
from tests.sdk.command_line import invoke


def test_inspect(tiny: Path) -> None:
    result = invoke("inspect", tiny)
    assert result.exit_code == 0
    assert f"sha256        {fundusrt.Bundle.open(tiny).sha256}\n" in result.stdout
    for text in (
        "tiny 1.0.0  (cmwnet, segmentation)\n",
        "marks         bright spots\n",
        "preprocess    CLAHE clip 2, grid 8 on lab lightness; gamma 1.2; 3 channels",
        "tiles         64 px, sides rounded nearest; whole image 64 px (area)",
        "postprocess   cgnr_then_fuse, CGNR parallel, w_large 0.3, threshold 0.5",
        "wavelet-rewrite",
        "large.onnx",
    ):
        assert text in result.stdout


def test_inspect_json(tiny: Path) -> None:
    content = json.loads(invoke("inspect", tiny, "--json").stdout)
    assert set(content) == {"sha256", "manifest", "certificate"}
    assert content["manifest"] == json.loads((tiny / "bundle.json").read_text())
    assert content["certificate"] == json.loads((tiny / "certificate.json").read_text())


def test_inspect_prints_markup_in_a_manifest_as_it_is(tiny_copy: Path) -> None:
    reseal(tiny_copy, description="[/bold] and [red]red[/red]", intended_use="[x]", version="[link=a]", label="[b]")
    result = invoke("inspect", tiny_copy)
    assert result.exit_code == 0
    for text in (
        "[/bold] and [red]red[/red]",
        "intended use  [x]",
        "tiny [link=a]  (cmwnet, segmentation)",
        "marks         [b]",
    ):
        assert text in result.stdout
