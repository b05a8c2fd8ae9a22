"""The shipped networks in fp16, bf16 and int8, compiled by TensorRT-RTX: the parser and the compiler take what is made.

The conversion is the exporter's without its accuracy control, on the golden image alone: what compiles does not depend
on which layers stay in float32, and the search for them takes minutes (`benchmarks/precision.py`).
"""

from __future__ import annotations

import onnx
import pytest

from fundusrt.bundle import Bundle
from fundusrt.engine_identity import BatchRange
from fundusrt.golden import golden_image
from fundusrt.manifest import CmwnetManifest
from fundusrt.tensorrt_flavour import import_tensorrt
from fundusrt_export.engines.builder import build_engine
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.precision.convert import unjudged
from fundusrt_export.precision.report import ReducedPrecision

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")

NETWORKS = {"leakage": "large", "exudate": "segmentation", "enhance": "enhancement"}
MARKS = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16, "int8": onnx.TensorProto.INT8}


@pytest.mark.slow
@pytest.mark.parametrize("precision", MARKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_shipped_network_builds_in(name: str, precision: ReducedPrecision) -> None:
    bundle = Bundle.open(name)
    manifest, network = bundle.manifest, NETWORKS[name]
    spec = manifest.networks[network]
    (variant,) = (each for each in spec.variants if (each.target, each.precision) == ("tensorrt", "fp32"))
    image = golden_image(bundle)
    if isinstance(manifest, CmwnetManifest):
        inputs = ParityInputs.of([image], manifest.preprocess, manifest.tile, manifest.whole_image)
    else:
        inputs = ParityInputs.of_frames([image], manifest)
    tile = next(iter(inputs.of_images().feeds(network).values()))
    exact = bundle.network_bytes(variant)
    reduced = unjudged(exact, precision, tile, threads=1)
    types = {tensor.data_type for tensor in onnx.load_model_from_string(reduced).graph.initializer}
    assert MARKS[precision] in types
    assert len(reduced) < 0.7 * len(exact)
    built = build_engine(
        import_tensorrt("tensorrt-rtx"), reduced, spec, BatchRange(min=1, opt=1, max=1),
        subject=f"{name} {precision}", capability="sm86",
    )  # fmt: skip
    assert sum(built.report.kernels.values()) > 5
    assert built.report.weight_bytes
    assert built.report.activation_bytes
