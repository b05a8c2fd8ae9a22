"""What does each precision cost and save, on ONNX Runtime and OpenVINO on this CPU, and what does TensorRT make of it?

The fp32 networks of a bundle are reduced as `fundusrt export --precision` reduces them, every file under accuracy
control, and each file is then

* described: size, nodes, layers put back, R4's figures on held-out images and the golden one, value against limit;
* timed in the runtime that it is for, as a ratio to float32 on the same runtime. Calls are interleaved in one process,
  forwards and backwards in turn, so that a busy machine disturbs all alike; processor time of one thread;
* compiled for `--gpu` by TensorRT-RTX, where that is installed: layers, kernels, memory. Nothing runs there.

Every third image is held out to judge by. The figures of fp32 are those of the bundle's own certificate.

    python -m benchmarks.precision BUNDLE IMAGES [--images 27] [--precisions fp16 bf16 int8] [--rounds 9] [--gpu sm86]
        [--threads 1] [--out FILES]

`python -m benchmarks.precision_page` turns what was recorded into docs/precision.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.record import save
from fundusrt.atomic import write_bytes
from fundusrt.backends.base import Array, InferenceSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.backends.openvino import OpenVinoSession
from fundusrt.bundle import Bundle
from fundusrt.certificate import Measurement, Rung
from fundusrt.engine_identity import BatchRange
from fundusrt.errors import BackendUnavailable, FundusRTError
from fundusrt.golden import golden_image
from fundusrt.image import from_array, read_image
from fundusrt.ladder import LADDER, limit_for
from fundusrt.manifest import CmwnetManifest, NetworkSpec
from fundusrt.manifest.parts import Target
from fundusrt_export.errors import PrecisionError
from fundusrt_export.graph_variants import GraphVariants
from fundusrt_export.parity.inputs import ParityInputs
from fundusrt_export.passes import graph_statistics
from fundusrt_export.precision import ReducedPrecision
from fundusrt_export.reduced_variants import reduce_variants

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
SESSIONS: Mapping[str, Callable[..., InferenceSession]] = {
    "onnxruntime": OnnxRuntimeSession,
    "openvino": OpenVinoSession,
}
Row = dict[str, Any]


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("images", type=Path)
    parser.add_argument("--images", dest="most", type=int, default=27)
    parser.add_argument("--precisions", nargs="+", default=["fp16", "bf16", "int8"], choices=["fp16", "bf16", "int8"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpu", default="sm86")
    parser.add_argument("--out", type=Path, default=None, help="folder for the ONNX files")
    options = parser.parse_args()
    start = time.monotonic()
    bundle = Bundle.open(options.bundle)
    files, rows, rungs = reduced_files(bundle, options)
    for name, spec in bundle.manifest.networks.items():
        add_times(files, [row for row in rows if row["network"] == name], bundle, name, options)
        for row in rows:
            if row["network"] == name and row["target"] == "tensorrt":
                row["engine"] = compiled(files[row["file"]], spec, f"{name} {row['precision']}", options.gpu)
    for row in rows:
        print_row(row)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            write_bytes(options.out / file, content)
    ladder = [*bundle.certificate.rungs, *rungs]
    path = save(
        f"precision_{bundle.manifest.name}",
        {
            "question": __doc__.splitlines()[0],
            "bundle": {"name": bundle.manifest.name, "version": bundle.manifest.version, "sha256": bundle.sha256},
            "images": options.most,
            "rounds": options.rounds,
            "threads": options.threads,
            "gpu": options.gpu,
            "seconds": round(time.monotonic() - start),
            "rows": rows,
            "ladder": [line for rung in ladder for line in worst_figures(rung)],
        },
    )
    print(f"written to {path}")


def reduced_files(bundle: Bundle, options: argparse.Namespace) -> tuple[dict[str, bytes], list[Row], list[Rung]]:
    """Return all ONNX files by name, a row for each file and target, and the rungs R4 that could be measured."""
    manifest = bundle.manifest
    paths = sorted(path for path in options.images.iterdir() if path.suffix.lower() in IMAGES)
    images = [
        from_array(read_image(path).pixels, source_id=f"image {k}")
        for k, path in enumerate(spread(paths, options.most))
    ]
    files: dict[str, bytes] = {}
    rows: list[Row] = []
    rungs: dict[str, list[Rung]] = {}
    for name, spec in manifest.networks.items():
        exact = [variant for variant in spec.variants if variant.precision == "fp32"]
        forms: dict[Target, str] = {variant.target: variant.form for variant in exact}
        for variant in exact:
            files[variant.file] = bundle.network_bytes(variant)
            rows.append({"network": name, "precision": "fp32", "target": variant.target, "file": variant.file})
        for precision in cast(list[ReducedPrecision], options.precisions):
            variants = GraphVariants(name, forms, (precision,))
            targets = [each for each in variants.specs() if each.precision == precision]
            own: list[Row] = [
                {"network": name, "precision": precision, "target": each.target, "file": each.file} for each in targets
            ]
            started = time.monotonic()
            try:
                made = reduce_variants(
                    [variants],
                    files,
                    manifest,
                    images,
                    golden=golden_image(bundle),
                    threads=options.threads,
                    progress=print,
                )
            except PrecisionError as error:
                rows += [row | {"error": str(error)} for row in own]
                continue
            print(f"{name} {precision}: {time.monotonic() - started:.0f} s")
            files |= made.contents
            rungs.setdefault(precision, []).extend(made.rungs)
            for row in own:
                report = json.loads(made.reports[f"precision/{row['file'].removesuffix('.onnx')}.json"])
                row |= {key: report[key] for key in ("layers", "restored", "candidates", "figure", "unrestored")}
                row["reduced"], row["kept"] = (
                    len(report["reduced"]),
                    dict(Counter(each["reason"] for each in report["kept"])),
                )
            rows += own
    for row in rows:
        if row["file"] in files:
            row |= {"bytes": len(files[row["file"]]), "nodes": graph_statistics(files[row["file"]]).nodes}
    return files, rows, [joined(parts) for parts in rungs.values()]


def joined(rungs: Sequence[Rung]) -> Rung:
    """Return the rungs of several networks as the one that a certificate has."""
    figures = tuple(figure for rung in rungs for figure in rung.measurements)
    return rungs[0].model_copy(update={"measurements": figures})


def worst_figures(rung: Rung) -> list[Row]:
    """Return each figure of a rung once, with the worst of the networks, windows and files."""
    worst: dict[str, Measurement] = {}
    for figure in rung.measurements:
        limit = limit_for(rung.name, figure.metric)
        name = figure.metric if limit is None else limit.metric
        if name not in worst or (figure.value > worst[name].value) == (figure.bound == "at_most"):
            worst[name] = figure
    code = LADDER[rung.name].code
    return [
        {"rung": code, "name": rung.name, "figure": name, "value": each.value, "limit": each.limit, "bound": each.bound}
        | {"measured": each.metric, "holds": each.holds}
        for name, each in worst.items()
    ]


def add_times(
    files: Mapping[str, bytes], rows: list[Row], bundle: Bundle, name: str, options: argparse.Namespace
) -> None:
    """Time the files of one network on each runtime of this CPU, beside its float32 file."""
    tiles = golden_tiles(bundle, name)
    for runtime, session in SESSIONS.items():
        mine = [row for row in rows if row["target"] == runtime and "error" not in row]
        calls = {
            row["precision"]: session(files[row["file"]], source=row["file"], threads=options.threads) for row in mine
        }
        for precision, (ratios, milliseconds) in interleaved(calls, tiles, options.rounds).items():
            row = next(row for row in mine if row["precision"] == precision)
            row |= {"ratio": statistics.median(ratios), "ratios": [min(ratios), max(ratios)]}
            row["processor_ms"] = statistics.median(milliseconds)
        for each in calls.values():
            each.close()


def golden_tiles(bundle: Bundle, name: str) -> Array:
    """Return the golden image's inputs of one network, (N, C, H, W)."""
    manifest, image = bundle.manifest, golden_image(bundle)
    if isinstance(manifest, CmwnetManifest):
        inputs = ParityInputs.of([image], manifest.preprocess, manifest.tile, manifest.whole_image)
    else:
        inputs = ParityInputs.of_frames([image], manifest)
    return np.concatenate(list(inputs.of_images().feeds(name).values()))


def spread(values: Sequence[Any], most: int) -> list[Any]:
    """Return up to `most` of the values at even distances."""
    return [values[index] for index in np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)]


def interleaved(
    calls: Mapping[str, InferenceSession], tiles: Array, rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Return for each session its times over those of `fp32` in the same round, and its times in milliseconds."""

    def call(session: InferenceSession, tile: Array) -> float:
        (feed,) = session.inputs
        # Time on the processor: on a shared machine the clock on the wall measures the others.
        start = time.process_time()
        session.run({feed: tile})
        return 1000 * (time.process_time() - start)

    for session in calls.values():
        call(session, tiles[:1])
    times: dict[str, list[float]] = {label: [] for label in calls}
    for turn in range(rounds):
        tile = tiles[turn % len(tiles)][None]
        for label in list(calls) if turn % 2 else reversed(list(calls)):
            times[label].append(call(calls[label], tile))
    return {label: ([a / b for a, b in zip(each, times["fp32"], strict=True)], each) for label, each in times.items()}


def compiled(content: bytes, spec: NetworkSpec, subject: str, gpu: str) -> Row:
    """Return TensorRT-RTX's report without the kernels by name, or why there is none."""
    from fundusrt.tensorrt_flavour import import_tensorrt
    from fundusrt_export.engines.builder import build_engine

    try:
        tensorrt = import_tensorrt("tensorrt-rtx")
    except BackendUnavailable as error:
        return {"error": str(error)}

    try:
        built = build_engine(tensorrt, content, spec, BatchRange(min=1, opt=1, max=1), subject=subject, capability=gpu)
    except FundusRTError as error:
        return {"error": str(error)}
    report = built.report.to_dict()
    return {name: report[name] for name in report if name not in ("kernels", "engine_layers")}


def print_row(row: Row) -> None:
    """Print one line of the table."""
    line = f"{row['network']:<13}{row['precision']:<6}{row['target']:<12}"
    if "error" in row:
        print(line + row["error"])
        return
    line += f"{row['bytes'] / 1e6:6.2f} MB {row['nodes']:5d} nodes"
    if "ratio" in row:
        line += f"  {row['ratio']:.2f} of fp32 ({row['processor_ms']:.0f} ms)"
    if "figure" in row:
        line += f"  {row['figure']['metric']} {row['figure']['value']:.5g} ({row['figure']['limit']:g})"
        line += f", before {row['unrestored']['value']:.5g}, {len(row['restored'])} layers put back"
    if "generated_kernels" in row.get("engine", {}):
        engine = row["engine"]
        line += f"  {engine['parsed_layers']} layers, {engine['generated_kernels']} kernels"
    print(line)


if __name__ == "__main__":
    main()
