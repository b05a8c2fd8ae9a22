"""docs/precision.md from what `benchmarks.precision` and `benchmarks.graph_passes` recorded on one machine.

python -m benchmarks.precision_page [--results benchmarks/results/MACHINE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.record import folder_of_this_machine
from fundusrt.atomic import write_bytes

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[1] / "docs" / "precision.md"
BUNDLES = ("leakage", "exudate", "enhance")
_SIGNS = {"at_most": "≤", "at_least": "≥"}
_MIB = 1024 * 1024
Record = dict[str, Any]

# The commands of `make precision`: benchmarks.precision for each bundle, benchmarks.graph_passes, this.
HEAD = """# Precision: the ladder, sizes, speed

The three shipped bundles in fp32, fp16, bf16 and int8: what was certified, what it costs, what TensorRT makes of it.
This page is written by

```
make precision PHOTOGRAPHS=FOLDER LOW_QUALITY=FOLDER
```

from `benchmarks/results/{folder}` ({cpu}, {cores} cores). Each network is reduced as `fundusrt export --precision` does
it: ranges from two thirds of the images, every file judged on the others and on the golden image, layers put back to
float32 until every figure of R4 holds ([the limits and their reasons](parity-ladder.md),
[how it is done](decisions/0008-precision.md)). The bundles ship fp32 alone.
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=folder_of_this_machine())
    write_bytes(PAGE, page(parser.parse_args().results).encode())
    print(f"written to {PAGE}")


def page(results: Path) -> str:
    """Return the page's text; bundles without a record are left out."""
    paths = {name: results / f"precision_{name}.json" for name in BUNDLES}
    records = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    passes = json.loads((results / "graph_passes.json").read_text())
    machine = passes["machine"]
    parts = [HEAD.format(folder=results.name, cpu=machine["cpu"], cores=machine["cores"])]
    parts += [_files(records), _fastest(records)]
    parts += [_ladder(name, record) for name, record in records.items()]
    quantisers = [json.loads(path.read_text()) for path in sorted(results.glob("quantisers_*.json"))]
    parts += [_quantisers(record) for record in quantisers]
    parts.append(_passes(passes))
    return "\n".join(parts)


def _files(records: dict[str, Record]) -> str:
    lines = ["## Files, accuracy, speed, engines", ""]
    for name, record in records.items():
        lines += [
            f"### `{name}` {record['bundle']['version']}, {record['images']} images",
            "",
            *_head("network", "precision", "target", "MB", "nodes", "put back", "figure", "before", "limit",
                   "time, fp32 = 1", "ms", "layers", "kernels", "activations, weights, plan in MiB"),
        ]  # fmt: skip
        lines += [_file_row(row) for row in record["rows"]]
        lines.append("")
    lines += [
        "Figure: Dice drop against the float32 mask, or PSNR against the float32 image in dB; before: none put back.",
        "Time: processor time of one thread in the target's own runtime, median of "
        f"{next(iter(records.values()))['rounds']} interleaved rounds.",
        f"Layers to plan: TensorRT-RTX for {next(iter(records.values()))['gpu']}, batch 1; nothing was run there.",
        "",
    ]
    return "\n".join(lines)


def _file_row(row: Record) -> str:
    first = [row["network"], row["precision"], row["target"]]
    if "error" in row:
        return _line(*first, *[""] * 3, row["error"], *[""] * 7)
    judged = [""] * 4
    if "figure" in row:
        figure, back = row["figure"], len(row["restored"])
        judged = [f"{back} of {row['layers']}", *(f"{each['value']:.4g}" for each in (figure, row["unrestored"]))]
        judged.append(f"{_SIGNS[figure['bound']]} {figure['limit']:g}")
    times = [f"{row['ratio']:.2f}", f"{row['processor_ms']:.0f}"] if "ratio" in row else [""] * 2
    return _line(*first, f"{row['bytes'] / 1e6:.2f}", row["nodes"], *judged, *times, *_engine(row.get("engine")))


def _engine(engine: Record | None) -> list[str]:
    if engine is None:
        return [""] * 3
    if "error" in engine:
        return ["", "", engine["error"]]
    sizes = (engine[name] / _MIB for name in ("activation_bytes", "weight_bytes", "plan_bytes"))
    return [str(engine["parsed_layers"]), str(engine["generated_kernels"]), ", ".join(f"{size:.1f}" for size in sizes)]


def _fastest(records: dict[str, Record]) -> str:
    lines = ["## Best on this CPU", "", *_head("network", "fastest", "ms", "figure", "fp32, the faster runtime, ms")]
    for record in records.values():
        for network in dict.fromkeys(row["network"] for row in record["rows"]):
            timed = [row for row in record["rows"] if row["network"] == network and "processor_ms" in row]
            best = min(timed, key=lambda row: row["processor_ms"])
            plain = min((row for row in timed if row["precision"] == "fp32"), key=lambda row: row["processor_ms"])
            figure = f"{best['figure']['metric']} {best['figure']['value']:.4g}" if "figure" in best else "exact"
            lines.append(
                _line(
                    f"{record['bundle']['name']}, {network}",
                    f"{best['precision']} on {best['target']}",
                    f"{best['processor_ms']:.0f}",
                    figure,
                    f"{plain['processor_ms']:.0f} on {plain['target']}",
                )
            )
    return "\n".join([*lines, ""])


def _ladder(name: str, record: Record) -> str:
    lines = [
        f"## The ladder of `{name}`",
        "",
        "The worst value of all networks, windows and files; R0 to R3 and R5 to R7 from the bundle's certificate.",
        "",
        *_head("rung", "figure", "value", "limit"),
    ]
    for each in sorted(record["ladder"], key=lambda each: each["rung"]):
        figure = each["figure"].replace("|", "\\|")
        limit = f"{_SIGNS[each['bound']]} {each['limit']:g}"
        rung = f"{each['rung']} `{each['name']}`".strip()
        lines.append(_line(rung, figure, f"{each['value']:.6g}" + ("" if each["holds"] else " DOES NOT HOLD"), limit))
    return "\n".join([*lines, ""])


def _quantisers(record: Record) -> str:
    bundle = record["bundle"]
    lines = [
        f"## Whose int8: `{bundle['name']}` {bundle['version']}, {record['images']} images",
        "",
        "Each quantiser by its own choice of nodes, after the same windows, nothing put back; judged in ONNX Runtime",
        "on the images held out. OpenVINO's times say nothing of its answers, which are not always the file's",
        "([decision 11](decisions/0011-openvino.md)). "
        + ", ".join(f"{name} {version}" for name, version in record["quantisers"].items())
        + "; `python -m benchmarks.quantisers`.",
        "",
        *_head("network", "quantiser", "MB", "convolutions that read int8", "figure", "limit", "99.9th percentile",
               "ONNX Runtime, fp32 = 1", "OpenVINO, fp32 = 1", "seconds to make"),
    ]  # fmt: skip
    for row in record["rows"]:
        if "error" in row:
            lines.append(_line(row["network"], row["quantiser"], "", "", row["error"], *[""] * 5))
            continue
        figure = row["figure"]
        times = [
            f"{row[f'{runtime}_ratio']:.2f}" if f"{runtime}_ratio" in row else row[f"{runtime}_error"]
            for runtime in ("onnxruntime", "openvino")
        ]
        lines.append(
            _line(
                row["network"], row["quantiser"], f"{row['bytes'] / 1e6:.2f}", row["quantised_convolutions"],
                f"{figure['value']:.4g}", f"{_SIGNS[figure['bound']]} {figure['limit']:g}", f"{row['most']:.4g}",
                *times, row.get("processor_s", ""),
            )
        )  # fmt: skip
    return "\n".join([*lines, ""])


def _passes(record: Record) -> str:
    lines = [
        "## Before and after each rewrite and pass",
        "",
        "The graph for TensorRT, traced after each rewrite, and after each pass that removed nodes; TensorRT-RTX for",
        f"{record['gpu']}, fp32, batch 1. Structure alone counts: the networks had random weights.",
        "",
        *_head("bundle", "rewrite", "after", "nodes", "layers", "kernels", "activations, weights, plan in MiB"),
    ]
    lines += [
        _line(row["bundle"], row["step"], f"`{row['after']}`", row["nodes"], *_engine(row["engine"]))
        for row in record["rows"]
    ]
    return "\n".join([*lines, ""])


def _head(*titles: str) -> list[str]:
    return [_line(*titles), _line(*["---"] * len(titles))]


def _line(*cells: Any) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
