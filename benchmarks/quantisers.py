"""Whose int8 is best: ONNX Runtime's quantiser as this project uses it, ModelOpt's or NNCF's?

Each quantises the fp32 file that a bundle has for ONNX Runtime, after the same calibration windows, and nothing is put
back: what `fundusrt export --precision int8` puts back afterwards it could put back behind any of them. Every third
image is held out; on these each file is judged in ONNX Runtime (Dice drop or PSNR against float32, 99.9th percentile of
the difference) and timed there and in OpenVINO, interleaved with float32, processor time of one thread.

    pip install nvidia-modelopt==0.47.0 nncf==3.4.0 onnx-graphsurgeon onnxconverter-common onnxslim polygraphy lief
    python -m benchmarks.quantisers BUNDLE IMAGES [--images 24] [--rounds 5] [--threads 1]

ModelOpt's own `onnx` extra pins another ONNX and the GPU build of ONNX Runtime: into an environment that is thrown
away, and with --no-deps. A quantiser that is not installed is named in the record, not left out of it.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.precision import IMAGES, SESSIONS, interleaved, spread
from benchmarks.record import save
from fundusrt.agreement import high_percentile
from fundusrt.backends.base import Array
from fundusrt.bundle import Bundle
from fundusrt.errors import FundusRTError
from fundusrt.image import from_array, read_image
from fundusrt.manifest import CmwnetManifest
from fundusrt.systems import system_of
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.passes import graph_statistics
from fundusrt_export.precision import LIMITS, DiceJudge, Judge, PsnrJudge
from fundusrt_export.precision.answering import in_onnxruntime
from fundusrt_export.precision.static_quantisation import CONVOLUTIONS, StaticQuantiser
from fundusrt_export.reduced_variants import HELD_OUT_EVERY

Quantiser = Callable[[bytes, Array], bytes]
Row = dict[str, Any]


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("images", type=Path)
    parser.add_argument("--images", dest="most", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    rows: list[Row] = []
    for name, spec in bundle.manifest.networks.items():
        exact = bundle.network_bytes(next(each for each in spec.variants if each.target == "onnxruntime"))
        calibration, held_out = windows(bundle, name, options)
        rows += network_rows(exact, calibration, judge_of(bundle, exact, held_out, options.threads), held_out, options)
        for row in rows:
            row.setdefault("network", name)
    for row in rows:
        print(*(f"{key}={value}" for key, value in row.items()))
    path = save(
        f"quantisers_{bundle.manifest.name}",
        {
            "question": __doc__.splitlines()[0],
            "bundle": {"name": bundle.manifest.name, "version": bundle.manifest.version, "sha256": bundle.sha256},
            "images": options.most,
            "rounds": options.rounds,
            "threads": options.threads,
            "quantisers": installed("onnxruntime", "nvidia-modelopt", "nncf"),
            "rows": rows,
        },
    )
    print(f"written to {path}")


def installed(*names: str) -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    return {each.metadata["Name"]: each.version for name in names for each in metadata.Distribution.discover(name=name)}


def windows(bundle: Bundle, name: str, options: argparse.Namespace) -> tuple[Array, Array]:
    """Return (N, C, H, W) float32 windows to calibrate on, and those of the images held out."""
    paths = sorted(path for path in options.images.iterdir() if path.suffix.lower() in IMAGES)
    images = [
        from_array(read_image(path).pixels, source_id=f"image {k}")
        for k, path in enumerate(spread(paths, options.most))
    ]
    parts: list[Array] = []
    for last in (False, True):
        part = [image for k, image in enumerate(images, 1) if (k % HELD_OUT_EVERY == 0) is last]
        manifest = bundle.manifest
        if isinstance(manifest, CmwnetManifest):
            inputs = ParityInputs.of(part, manifest.preprocess, manifest.tile, manifest.whole_image)
        else:
            inputs = ParityInputs.of_frames(part, manifest)
        parts.append(np.concatenate(list(inputs.of_images().feeds(name).values())))
    return parts[0], parts[1]


def judge_of(bundle: Bundle, exact: bytes, held_out: Array, threads: int) -> Judge:
    """Return the judge of the export's accuracy control."""
    manifest = bundle.manifest
    limit, threshold = LIMITS[manifest.task, "int8"], system_of(manifest).threshold(manifest)
    if threshold is None:
        return PsnrJudge(exact, held_out, limit=limit, threads=threads)
    return DiceJudge(exact, held_out, threshold=threshold, limit=limit, threads=threads)


def network_rows(
    exact: bytes, calibration: Array, judge: Judge, held_out: Array, options: argparse.Namespace
) -> list[Row]:
    """Return a row for float32 and for each quantiser."""
    made = {"fp32": exact}
    rows: list[Row] = [{"quantiser": "fp32"}]
    for label, quantise in QUANTISERS.items():
        row: Row = {"quantiser": label}
        rows.append(row)
        started = time.process_time()
        try:
            made[label] = quantise(exact, calibration)
        except ImportError as error:
            row["error"] = f"not installed: {error}"
            continue
        row["processor_s"] = round(time.process_time() - started, 1)
    for row in rows:
        if (content := made.get(row["quantiser"])) is None:
            continue
        figure, answers = judge(content), in_onnxruntime(options.threads)(content, held_out)
        row |= {"bytes": len(content), "nodes": graph_statistics(content).nodes}
        row |= {"figure": figure.model_dump(), "most": high_percentile(np.stack(judge.truth), np.stack(answers))}
        row["quantised_convolutions"] = quantised_convolutions(content)
    for runtime in SESSIONS:
        add_times(runtime, made, rows, held_out, options)
    return rows


def quantised_convolutions(content: bytes) -> int:
    """Return how many convolutions read a DequantizeLinear."""
    graph = onnx.load_model_from_string(content).graph
    dequantised = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    return sum(node.op_type in CONVOLUTIONS and node.input[0] in dequantised for node in graph.node)


def add_times(
    runtime: str, made: Mapping[str, bytes], rows: list[Row], tiles: Array, options: argparse.Namespace
) -> None:
    """Time the files in one runtime; one that it refuses says so."""
    by_label = {row["quantiser"]: row for row in rows}
    sessions: dict[str, Any] = {}
    for label, content in made.items():
        try:
            sessions[label] = SESSIONS[runtime](content, source=label, threads=options.threads)
        except FundusRTError as error:
            by_label[label][f"{runtime}_error"] = str(error)
    for label, (ratios, milliseconds) in interleaved(sessions, tiles, options.rounds).items():
        by_label[label][f"{runtime}_ratio"] = statistics.median(ratios)
        by_label[label][f"{runtime}_ms"] = statistics.median(milliseconds)


def ours(exact: bytes, calibration: Array) -> bytes:
    """ONNX Runtime's quantiser with this project's settings, on every convolution."""
    model = onnx.load_model_from_string(exact)
    names = [node.name for node in model.graph.node if node.op_type in CONVOLUTIONS]
    return StaticQuantiser(model, calibration).quantise(names).SerializeToString()


def ours_inner(exact: bytes, calibration: Array) -> bytes:
    """The same without the first and the last convolution, as the export leaves them."""
    model = onnx.load_model_from_string(exact)
    names = [node.name for node in model.graph.node if node.op_type in CONVOLUTIONS]
    return StaticQuantiser(model, calibration).quantise(names[1:-1]).SerializeToString()


def modelopt(method: str) -> Quantiser:
    """Return ModelOpt's int8 with its own choice of nodes; the rest stays float32."""

    def quantise(exact: bytes, calibration: Array) -> bytes:
        library = importlib.import_module("modelopt.onnx.quantization")
        with tempfile.TemporaryDirectory() as folder:
            given, written = Path(folder) / "exact.onnx", Path(folder) / "int8.onnx"
            given.write_bytes(exact)
            library.quantize(
                str(given),
                quantize_mode="int8",
                calibration_data=calibration,
                calibration_method=method,
                calibration_eps=["cpu"],
                high_precision_dtype="fp32",
                output_path=str(written),
                log_level="WARNING",
            )
            return written.read_bytes()

    return quantise


def nncf(exact: bytes, calibration: Array) -> bytes:
    """NNCF's post-training quantisation of the ONNX file, its defaults, the fast bias correction among them."""
    library = importlib.import_module("nncf")
    model = onnx.load_model_from_string(exact)
    feed = model.graph.input[0].name
    data = library.Dataset([{feed: tile[None]} for tile in calibration])
    quantised: onnx.ModelProto = library.quantize(model, data, subset_size=len(calibration))
    return quantised.SerializeToString()


QUANTISERS: Mapping[str, Quantiser] = {
    "ONNX Runtime, this project's settings": ours,
    "the same, first and last convolution float32": ours_inner,
    "ModelOpt, max": modelopt("max"),
    "ModelOpt, entropy": modelopt("entropy"),
    "NNCF": nncf,
}


if __name__ == "__main__":
    main()
