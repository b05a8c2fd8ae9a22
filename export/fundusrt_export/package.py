"""Checkpoint to certified bundle: rewrite, export, measure; nothing is written unless every rung holds."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from fundusrt.backends.openvino import import_openvino
from fundusrt.bundle import MANIFEST_FILE, Bundle
from fundusrt.certificate import Certificate, Rung
from fundusrt.errors import UsageError
from fundusrt.image import FundusImage, from_array, read_image
from fundusrt.inputs import collect_images
from fundusrt.manifest import AnyManifest, FileRecord
from fundusrt.manifest.parts import Precision, Target
from fundusrt.verification import verify_bundle
from fundusrt_export.branch import Form
from fundusrt_export.bundle_writer import check_target, staged_bundle
from fundusrt_export.errors import ParityError
from fundusrt_export.graph_variants import REDUCED_TARGETS
from fundusrt_export.model_card import BundleInfo, complete, failure_pictures, model_card
from fundusrt_export.parity import DivergenceError, make_certificate, require_holding
from fundusrt_export.passes import graph_statistics
from fundusrt_export.precision import ReducedPrecision
from fundusrt_export.reduced_variants import reduce_variants, require_held_out
from fundusrt_export.systems import open_checkpoint
from fundusrt_export.systems.system_export import CERTIFICATE, MODEL_CARD, Progress, SystemExport, summary
from fundusrt_export.targets import TARGETS
from fundusrt_export.torch_threads import one_torch_thread

__all__ = ["export_bundle"]

logger = logging.getLogger(__name__)


def export_bundle(
    checkpoint: str | Path,
    out: str | Path,
    *,
    info: BundleInfo,
    form: Form | None = None,
    golden: str | Path | None = None,
    parity_images: Sequence[str | Path] = (),
    settings: Sequence[str] = (),
    targets: Sequence[Target] = TARGETS,
    any_size: bool = False,
    precisions: Sequence[Precision] = ("fp32",),
    calibration: Sequence[str | Path] = (),
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress = logger.info,
) -> Certificate:
    """Export a checkpoint to a certified bundle; the checkpoint says of which system.

    Args:
        checkpoint: a `.safetensors` file of `fundusrt train`.
        out: `NAME.frt` for one file, anything else for a folder.
        info: name, version and the words of the model card.
        form: graph form of the networks of CMWNet, None for `identity`; other systems have one form.
        golden: image whose vectors are stored in the bundle, so it must be free to share; default: a generated
            picture.
        parity_images: further images to measure on; only their hashes are stored.
        settings: `NAME=VALUE` for what may be chosen after training, such as `post.w_large=0.5`.
        targets: runtimes to make graphs for; `onnxruntime` is one of them.
        any_size: leave height and width of the networks' inputs free, in one graph for all targets; CMWNet's identity
            form only.
        precisions: `fp32`, which is always there, and any of `fp16`, `bf16` and `int8`, each under accuracy control.
        calibration: files or folders of real images for the other precisions; only their hashes are stored.
        threads: of ONNX Runtime; None for one per core.
        overwrite: replace an existing bundle.
        progress: called with a line per step.

    Returns:
        The certificate that was written.

    Raises:
        InvalidInput: the checkpoint, an image or a failure's picture cannot be used.
        RewriteDeclined, RewriteMismatch, ExportError: the network has no exact form, or its export is not what it
            must be.
        ParityError: a rung does not hold. Where the ONNX file is at fault (`DivergenceError`), the folder
            `NAME-divergence` beside `out` has the layer and shows it.
        OutputError: `out` cannot be written, or exists.
        UsageError: an option the system does not have, or a value it refuses.
        BackendUnavailable: a target is OpenVINO, and it is not installed.
        PrecisionError: a network that misses the limit of a precision whatever stays in float32.
    """
    out = Path(out)
    check_target(out, overwrite=overwrite)
    chosen = _targets(targets)
    system = open_checkpoint(checkpoint, settings, form)
    system.targets, system.any_size = chosen, any_size
    system.reduced = _reduced(precisions, any_size, chosen)
    further = _calibration_images(system.reduced, calibration)
    if any_size:
        _require_free_size(system)
    info = complete(info, system.words)
    pictures = failure_pictures(info)
    draft = _manifest(system, info, {})
    images = [system.golden_image(golden), *(_unnamed(read_image(path), k) for k, path in enumerate(parity_images))]
    try:
        with one_torch_thread():  # the same bytes on every machine and from every caller
            measured = system.measure(images, draft, threads=threads, progress=progress)
    except DivergenceError as error:
        raise error.saved(out.parent / f"{out.stem}-divergence") from error

    contents, rungs = dict(measured.contents), list(measured.rungs)
    reports: dict[str, bytes] = {}
    if system.reduced:
        require_holding(rungs)  # before the long search for layers
        reduced = reduce_variants(
            system.variants(), contents, draft, further, golden=images[0], threads=threads, progress=progress
        )
        for rung in reduced.rungs:
            rungs.append(rung)
            progress(summary(rung))
        contents |= reduced.contents
        reports = reduced.reports
    networks = {name: file for variants in system.variants() for name, file in variants.packed(contents).items()}
    files = {**networks, **measured.golden, **pictures, **reports}
    files[MODEL_CARD] = model_card(
        info,
        system.facts,
        rungs,
        rows=system.card_rows(),
        form=system.form,
        checkpoint_sha256=system.sha256,
        pictures=tuple(pictures),
    )
    certificate = make_certificate(
        _manifest(system, info, files),
        rungs,
        facts={"checkpoint_sha256": system.sha256, "form": system.form, "nodes": _node_counts(contents)},
    )
    files[CERTIFICATE] = certificate.model_dump_json(indent=1).encode()
    manifest = _manifest(system, info, files)
    with staged_bundle(out, {**files, MANIFEST_FILE: manifest.model_dump_json(indent=1).encode()}) as staged:
        Bundle.open(staged)
        offered = {(each.target, each.precision) for each in manifest.variants()}
        checked = [("onnxruntime", "fp32")]  # OpenVINO's fp32 is R3
        checked += [(backend, precision) for backend in ("onnxruntime", "openvino") for precision in system.reduced]
        for backend, precision in checked:
            if (backend, precision) in offered:
                _require_golden(verify_bundle(str(staged), backend=backend, precision=precision))
    progress(f"wrote {out}")
    return certificate


def _targets(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Return the targets in their order, and refuse what could not be exported in the end."""
    if not set(targets) <= set(TARGETS) or "onnxruntime" not in targets:
        raise UsageError(
            "targets",
            got=", ".join(targets) or "none",
            expected=f"onnxruntime, which the others are compared with, and any of {', '.join(TARGETS[1:])}",
        )
    if "openvino" in targets:
        import_openvino()
    return tuple(target for target in TARGETS if target in targets)


def _reduced(
    precisions: Sequence[Precision], any_size: bool, targets: Sequence[Target]
) -> tuple[ReducedPrecision, ...]:
    """Return the precisions beside fp32, each once and in their order."""
    if any_size and set(precisions) != {"fp32"}:
        raise UsageError(
            "--dynamic-size",
            got=f"precisions {', '.join(precisions)}",
            expected="fp32 alone",
            fix="leave one of the two out: ranges are measured at the size that is deployed",
        )
    unknown = sorted(set(precisions) - {"fp32", *get_args(ReducedPrecision)})
    if unknown:
        known = ", ".join(("fp32", *get_args(ReducedPrecision)))
        raise UsageError("precisions", got=", ".join(unknown), expected=f"any of {known}", fix="leave out the others")
    reduced = tuple(each for each in get_args(ReducedPrecision) if each in precisions)
    for each in reduced:
        if not set(REDUCED_TARGETS[each]) & set(targets):
            raise UsageError(
                f"precision {each}",
                got=f"targets {', '.join(targets)}",
                expected=f"one that it is offered for: {', '.join(REDUCED_TARGETS[each])}",
                fix="add the target, or leave the precision out",
            )
    return reduced


def _calibration_images(reduced: Sequence[ReducedPrecision], calibration: Sequence[str | Path]) -> list[FundusImage]:
    """Read the images that the other precisions need, and refuse before any work that there are none."""
    if not reduced and not calibration:
        return []
    if not reduced:
        raise UsageError(
            "--calibration",
            got=f"{len(calibration)} of them, and no precision beside fp32",
            expected="fp16, bf16 or int8, for which ranges are measured",
            fix="name a precision with --precision, or leave it out",
        )
    if not calibration:
        raise UsageError(
            "--calibration",
            got="nothing",
            expected=f"real images, on which the ranges for {', '.join(reduced)} are measured",
            fix="name a folder of images like those of the device, diseased eyes among them",
        )
    paths, refused = collect_images([str(path) for path in calibration])
    if refused:
        raise refused[0]
    require_held_out(len(paths))
    return [_unnamed(read_image(path), index, "calibration image") for index, path in enumerate(paths)]


def _require_free_size(system: SystemExport) -> None:
    reason = system.fixed_because or ("" if system.form == "identity" else "other forms compute with the image's shape")
    if reason:
        raise UsageError(
            "--dynamic-size",
            got=f"{type(system).__name__.removesuffix('Export')}, form {system.form!r}",
            expected="CMWNet in the identity form",
            fix=f"leave it out: {reason}",
        )


def _node_counts(networks: Mapping[str, bytes]) -> str:
    graphs = {name: content for name, content in networks.items() if name.endswith(".onnx")}
    return ", ".join(f"{name} {graph_statistics(content).nodes}" for name, content in graphs.items())


def _require_golden(rungs: Sequence[Rung]) -> None:
    """Refuse a staged bundle whose own golden vectors do not hold when it is opened as a device would open it.

    Raises:
        ParityError: names every figure that does not hold.
    """
    failed = [
        f"{rung.name}: {figure.metric} {figure.value:.3g}"
        for rung in rungs
        for figure in rung.measurements
        if not figure.holds
    ]
    if failed:
        raise ParityError(
            "staged bundle",
            got="; ".join(failed),
            expected="golden vectors that hold",
            fix="report it with the command that was run",
        )


def _manifest(system: SystemExport, info: BundleInfo, files: Mapping[str, bytes]) -> AnyManifest:
    """Return the manifest; files that are not made yet are recorded as empty, which `content_sha256` does not see."""
    names = [*system.network_files(), *system.golden_names(), CERTIFICATE, MODEL_CARD]
    records = {name: _record(files.get(name, b"")) for name in sorted({*names, *files})}
    try:
        return system.manifest(info, records)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"bundle, {place}", got=repr(first.get("input")), expected=first["msg"]) from error


def _record(content: bytes) -> FileRecord:
    return FileRecord(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _unnamed(image: FundusImage, index: int, kind: str = "parity image") -> FundusImage:
    """Drop the file name, which may name a patient: the certificate is shipped."""
    return from_array(image.pixels, source_id=f"{kind} {index + 1}")
