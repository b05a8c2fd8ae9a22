"""How large is each system's graph before and after each rewrite and pass, and what does TensorRT make of it?

Nodes of the ONNX graph; layers parsed (without constants), kernels generated, memory of activations and weights, plan:
as TensorRT-RTX reports them without a GPU, fp32, batch 1. Structure alone decides them, so the networks have random
weights; their configurations are those of the shipped models, the input sizes those of the shipped bundles.

    python -m benchmarks.graph_passes [--gpu sm86] [--leakage CONFIG] [--exudate CONFIG] [--enhance CONFIG]

`python -m benchmarks.precision_page` writes docs/precision.md from it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from benchmarks.precision import compiled
from benchmarks.record import save
from fundusrt.bundle import Bundle
from fundusrt.manifest import NetworkSpec
from fundusrt_export.branch import DeployedBranch, deployed_form, library_form, uniform_noise
from fundusrt_export.deployed_network import DeployedNetwork
from fundusrt_export.mage_net_deployed import LastStage, deployed_enhancer
from fundusrt_export.onnx_trace import PASSES, traced
from fundusrt_export.passes import graph_statistics
from fundusrt_export.ss_maf_deployed import DeployedSsMaf, deployed_stream
from fundusrt_training.models.mage_net import MageNet
from fundusrt_training.models.ss_maf import SsMaf
from fundusrt_training.models.unet_wavelet import UNetWavelet
from fundusrt_training.systems.cmwnet_config import CmwnetConfig
from fundusrt_training.systems.mage_net_config import MageNetConfig
from fundusrt_training.systems.ss_maf_config import SsMafConfig

CONFIGS = Path(__file__).parents[1] / "training" / "configs"
NETWORKS = {"leakage": "small", "exudate": "segmentation", "enhance": "enhancement"}
Steps = Iterator[tuple[str, nn.Module]]


def leakage(config: dict[str, Any], side: int) -> Steps:
    """One branch: pytorch_wavelets, fixed convolutions, no wavelet operation."""
    network = library_form(UNetWavelet(CmwnetConfig.from_dict(config).unet).eval())
    example = uniform_noise(network, side)
    yield "as trained, pytorch_wavelets", DeployedBranch(network)
    yield "wavelet steps as fixed convolutions", DeployedBranch(deployed_form(network, "convolution", example=example))
    yield "Haar identity", DeployedBranch(deployed_form(network, "identity", example=example))


def exudate(config: dict[str, Any], side: int) -> Steps:
    """The segmentation stream: as trained, and folded with the 1x1 before each resize."""
    network = SsMaf(SsMafConfig.from_dict(config).net).eval()
    yield "as trained, train-only parts pruned", DeployedSsMaf(network)
    yield (
        "normalisations folded, 1x1 before the resize",
        DeployedSsMaf(deployed_stream(network, example=torch.rand(1, 3, side, side))),
    )


def enhance(config: dict[str, Any], side: int) -> Steps:
    """The enhancer: as trained, and without side heads, halves stacked, guided filter by AveragePool."""
    network = MageNet(MageNetConfig.from_dict(config).net).eval()
    yield "as trained, last stage alone", LastStage(network)
    yield (
        "side heads pruned, halves stacked",
        DeployedNetwork(deployed_enhancer(network, example=torch.rand(1, 3, side, side), normalisation="instance")),
    )


SYSTEMS = {"leakage": leakage, "exudate": exudate, "enhance": enhance}


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", default="sm86")
    parser.add_argument("--leakage", type=Path, default=CONFIGS / "leakage.json")
    parser.add_argument("--exudate", type=Path, default=CONFIGS / "exudate.json")
    parser.add_argument("--enhance", type=Path, default=CONFIGS / "enhance.json")
    options = parser.parse_args()
    start = time.monotonic()
    rows: list[dict[str, Any]] = []
    for name, steps in SYSTEMS.items():
        spec = Bundle.open(name).manifest.networks[NETWORKS[name]]
        torch.manual_seed(0)
        side = int(spec.input.shape[2])
        for step, module in steps(json.loads(getattr(options, name).read_text()), side):
            rows += measured(name, step, module, spec, options.gpu)
    path = save(
        "graph_passes",
        {
            "question": __doc__.splitlines()[0],
            "gpu": options.gpu,
            "seconds": round(time.monotonic() - start),
            "rows": rows,
        },
    )
    print(f"written to {path}")


def measured(name: str, step: str, module: nn.Module, spec: NetworkSpec, gpu: str) -> list[dict[str, Any]]:
    """Return a row for the graph as traced, and one after each pass that changed something."""
    shape = tuple(int(size) for size in spec.input.shape[1:])
    assert len(shape) == 3
    model = traced(module, shape, spec.output.name)
    rows = [_row(name, step, "traced", model, spec, gpu)]
    for each in PASSES:
        before = len(model.graph.node)
        if each(model) and len(model.graph.node) != before:
            rows.append(_row(name, step, each.__name__, model, spec, gpu))
    return rows


def _row(name: str, step: str, after: str, model: onnx.ModelProto, spec: NetworkSpec, gpu: str) -> dict[str, Any]:
    content = model.SerializeToString()
    row: dict[str, Any] = {"bundle": name, "step": step, "after": after, "nodes": graph_statistics(content).nodes}
    row["engine"] = compiled(content, spec, f"{name}, {step}, {after}", gpu)
    print(row)
    return row


if __name__ == "__main__":
    main()
