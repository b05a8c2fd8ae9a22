"""What does each precision cost and save, on ONNX Runtime and OpenVINO on this CPU?

For each network of a bundle and each precision: size, layers put back to keep the limit, Dice drop or PSNR against the
float32 network on held-out images, and time of a call as a ratio to float32 on the same runtime. Calls are interleaved
in one process, forwards and backwards in turn, so that a busy machine disturbs all alike. ONNX Runtime has no bf16
kernels on the CPU; bf16 is measured with rounding in float32 and not timed there.

    python -m benchmarks.precision BUNDLE CALIBRATION HELD_OUT [--networks small] [--tiles 16] [--held-out-tiles 4]
        [--rounds 7] [--nncf] [--out FILES]

CALIBRATION and HELD_OUT are folders of images. `--nncf` adds NNCF's quantiser, not under accuracy control, beside ONNX
Runtime's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx

from benchmarks.record import save
from fundusrt.atomic import write_bytes
from fundusrt.backends.base import Array
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.backends.openvino import openvino_core
from fundusrt.bundle import Bundle
from fundusrt.errors import FundusRTError
from fundusrt.image import read_image
from fundusrt.manifest import AnyManifest, CmwnetManifest
from fundusrt_export.errors import PrecisionError
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.precision import LIMITS, DiceJudge, Judge, PsnrJudge, ReducedPrecision, Task, to_precision

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
Call = Callable[[Array], Array]


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("calibration", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--networks", nargs="+", default=None, help="of the bundle; default: all")
    parser.add_argument("--precisions", nargs="+", default=["fp16", "bf16", "int8"], choices=["fp16", "bf16", "int8"])
    parser.add_argument("--tiles", type=int, default=16)
    parser.add_argument("--held-out-tiles", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--nncf", action="store_true")
    parser.add_argument("--out", type=Path, default=None, help="folder for the ONNX files")
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    names = options.networks or list(bundle.manifest.networks)
    calibration = network_tiles(bundle.manifest, options.calibration, options.tiles)
    held_out = network_tiles(bundle.manifest, options.held_out, options.held_out_tiles)
    rows: list[dict[str, Any]] = []
    for name in names:
        network = bundle.network_bytes(bundle.manifest.networks[name].variants[0])
        rows += measure(name, network, bundle.manifest, calibration[name], held_out[name], options)
    question = {"question": __doc__.splitlines()[0], "bundle": options.bundle, "rounds": options.rounds}
    tiles = {"tiles": options.tiles, "held_out_tiles": options.held_out_tiles, "threads": options.threads}
    print(f"written to {save(f'precision_{options.bundle}', question | tiles | {'rows': rows})}")


def measure(
    name: str, network: bytes, manifest: AnyManifest, calibration: Array, held_out: Array, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return a row for each precision of one network, and print it."""
    files: dict[str, bytes] = {"fp32": network}
    rows: dict[str, dict[str, Any]] = {"fp32": {"network": name, "precision": "fp32", "bytes": len(network)}}
    for precision in cast(list[ReducedPrecision], options.precisions):
        judge = make_judge(network, manifest, held_out, precision, options.threads)
        row: dict[str, Any] = {"network": name, "precision": precision}
        try:
            result = to_precision(
                network,
                precision,
                calibration,
                task=manifest.task,
                judge=judge,
                threads=options.threads,
                progress=print,
            )
        except PrecisionError as error:
            row["error"] = str(error)
        else:
            report = result.report
            files[precision] = result.content
            row |= {"bytes": len(result.content), "restored": list(report.restored), "candidates": report.candidates}
            row |= {"metric": report.figure.metric, "value": report.figure.value, "limit": report.figure.limit}
            row |= {"unrestored": report.unrestored.value, "reduced_nodes": len(report.reduced)}
        rows[precision] = row
    if options.nncf:
        files["int8 nncf"] = quantised_by_nncf(network, calibration)
        figure = make_judge(network, manifest, held_out, "int8", options.threads)(files["int8 nncf"])
        rows["int8 nncf"] = {"network": name, "precision": "int8 nncf", "bytes": len(files["int8 nncf"])}
        rows["int8 nncf"] |= {"metric": figure.metric, "value": figure.value, "limit": figure.limit}
    for label, call in (("onnxruntime", onnxruntime_call), ("openvino", openvino_call)):
        calls: dict[str, Call] = {}
        for precision, content in files.items():
            try:
                calls[precision] = call(content, options.threads)
            except (FundusRTError, RuntimeError) as error:
                rows[precision][f"{label}_error"] = " ".join(str(error).split())[:200]
        for precision, times in interleaved(calls, held_out, options.rounds).items():
            rows[precision][f"{label}_ratio"] = statistics.median(times)
            rows[precision][f"{label}_range"] = [min(times), max(times)]
    for row in rows.values():
        print_row(row)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        for precision, content in files.items():
            write_bytes(options.out / f"{name}.{precision.replace(' ', '-')}.onnx", content)
    return list(rows.values())


def make_judge(
    network: bytes, manifest: AnyManifest, held_out: Array, precision: ReducedPrecision, threads: int
) -> Judge:
    """Return the judge of the bundle's task with the limit of the precision."""
    task: Task = manifest.task
    limit = LIMITS[task, precision]
    if task == "enhancement":
        return PsnrJudge(network, held_out, limit=limit, threads=threads)
    threshold = cast(Any, manifest).postprocess.threshold
    return DiceJudge(network, held_out, threshold=threshold, limit=limit, threads=threads)


def network_tiles(manifest: AnyManifest, folder: Path, most: int) -> dict[str, Array]:
    """Return up to `most` inputs of each network, evenly spread over the images of a folder."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    images = [read_image(path) for path in spread(paths, most)]
    if isinstance(manifest, CmwnetManifest):
        inputs = ParityInputs.of(images, manifest.preprocess, manifest.tile, manifest.whole_image)
    else:
        inputs = ParityInputs.of_frames(images, manifest)
    tiles: dict[str, Array] = {}
    for name in manifest.networks:
        feeds = [feed for window, feed in inputs.feeds(name).items() if window not in ("black", "white")]
        tiles[name] = np.concatenate(spread(feeds, most))
    return tiles


def spread(values: Sequence[Any], most: int) -> list[Any]:
    """Return up to `most` of the values at even distances."""
    return [values[index] for index in np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)]


def onnxruntime_call(content: bytes, threads: int) -> Call:
    """Return one call of ONNX Runtime."""
    session = OnnxRuntimeSession(content, source="candidate", threads=threads)
    (feed,), (output,) = session.inputs, session.outputs
    return lambda tile: session.run({feed: tile})[output]


def openvino_call(content: bytes, threads: int) -> Call:
    """Return one call of OpenVINO; what the file leaves in float32 is computed in float32."""
    core = openvino_core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(content), "CPU", settings)
    return lambda tile: np.asarray(next(iter(compiled([tile]).values())))


def interleaved(calls: dict[str, Call], tiles: Array, rounds: int) -> dict[str, list[float]]:
    """Return for each call its time in each round over that of `fp32` in the same round."""
    order = list(calls)
    for label in order:
        calls[label](tiles[:1])
    ratios: dict[str, list[float]] = {label: [] for label in order}
    for turn in range(rounds):
        tile = tiles[turn % len(tiles)][None]
        seconds: dict[str, float] = {}
        for label in order if turn % 2 else reversed(order):
            # Time on the processor: on a shared machine the clock on the wall measures the others.
            start = time.process_time()
            calls[label](tile)
            seconds[label] = time.process_time() - start
        for label in order:
            ratios[label].append(seconds[label] / seconds["fp32"])
    return ratios


def quantised_by_nncf(network: bytes, tiles: Array) -> bytes:
    """Return NNCF's post-training quantisation with symmetric activations."""
    import nncf

    model = onnx.load_model_from_string(network)
    feed = model.graph.input[0].name
    dataset = nncf.Dataset(list(tiles), lambda tile: {feed: tile[None]})
    preset = nncf.QuantizationPreset.PERFORMANCE
    return nncf.quantize(model, dataset, preset=preset, subset_size=len(tiles)).SerializeToString()


def print_row(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    line = f"{row['network']:<13}{row['precision']:<10}"
    if "error" in row:
        print(line + row["error"])
        return
    line += f"{row['bytes'] / 1e6:6.2f} MB"
    for label in ("onnxruntime", "openvino"):
        ratio = row.get(f"{label}_ratio")
        line += f"  {label} {'-' if ratio is None else format(ratio, '.2f')}"
    if "value" in row:
        line += f"  {row['value']:.5g} (limit {row['limit']:g}), {len(row.get('restored', []))} layers put back"
    print(line)


if __name__ == "__main__":
    main()
