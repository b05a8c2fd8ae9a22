"""Checkpoint to certified bundle: rewrite, export, measure; nothing is written unless every rung holds."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError
from torch import nn

from fundusrt.backends.base import InferenceSession
from fundusrt.backends.onnxruntime import OnnxRuntimeSession
from fundusrt.bundle import MANIFEST_FILE, Bundle
from fundusrt.certificate import Certificate, Rung
from fundusrt.errors import UsageError
from fundusrt.image import FundusImage, from_array, read_image
from fundusrt.manifest import FileRecord, Manifest, NetworkSpec, TensorSpec, VariantSpec
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.verification import verify_bundle
from fundusrt_export.branch import FORMS, Form, deployed_form
from fundusrt_export.bundle_writer import check_target, staged_bundle
from fundusrt_export.checkpoint_networks import ROLES, TrainedSystem, load_trained
from fundusrt_export.errors import ParityError, RewriteDeclined
from fundusrt_export.golden_vectors import GOLDEN, golden_files, golden_source
from fundusrt_export.model_card import BundleInfo, model_card
from fundusrt_export.onnx_export import INPUT, OUTPUT, export_branch
from fundusrt_export.parity import (
    ParityInputs,
    make_certificate,
    tiled_to_stitched,
    torch_to_onnxruntime,
    wavelet_rewrite,
)
from fundusrt_export.parity.inputs import Role
from fundusrt_export.parity.reference import run_reference

__all__ = ["export_bundle"]

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]
_CERTIFICATE, _MODEL_CARD = "certificate.json", "MODEL_CARD.md"


def export_bundle(
    checkpoint: str | Path,
    out: str | Path,
    *,
    info: BundleInfo,
    form: Form = "identity",
    golden: str | Path | None = None,
    parity_images: Sequence[str | Path] = (),
    settings: Sequence[str] = (),
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress = logger.info,
) -> Certificate:
    """Export a CMWNet checkpoint to a certified bundle.

    Args:
        checkpoint: a `.safetensors` file of `fundusrt train`, with both branches.
        out: `NAME.frt` for one file, anything else for a folder.
        info: name, version and the words of the model card.
        form: graph form of the networks.
        golden: image whose vectors are stored in the bundle, so it must be free to share; default: a generated
            angiogram.
        parity_images: further images to measure on; only their hashes are stored.
        settings: `NAME=VALUE` for what may be chosen after training, such as `post.w_large=0.5`.
        threads: of ONNX Runtime; None for one per core.
        overwrite: replace an existing bundle.
        progress: called with a line per step.

    Returns:
        The certificate that was written.

    Raises:
        InvalidInput: the checkpoint or an image cannot be used.
        RewriteDeclined, RewriteMismatch, ExportError: the network has no exact form, or its export is not what it
            must be.
        ParityError: a rung does not hold.
        OutputError: `out` cannot be written, or exists.
    """
    out = Path(out)
    check_target(out, overwrite=overwrite)
    trained = load_trained(checkpoint, settings)
    images = [golden_source(golden), *(_unnamed(read_image(path), k) for k, path in enumerate(parity_images))]
    config = trained.config
    inputs = ParityInputs.of(images, config.preprocess_spec(), config.tile_spec(), config.whole_spec())

    progress(f"rewriting the wavelet steps ({form} form)")
    rewritten: dict[Role, Mapping[str, nn.Module]] = {role: _forms(trained, role, form, inputs) for role in ROLES}
    rungs = [wavelet_rewrite(trained.networks, rewritten, inputs)]
    progress(_summary(rungs[-1]))

    progress("exporting to ONNX")
    sizes: dict[Role, int] = {"large": config.whole.size, "small": config.tile.size}
    files = {
        f"{role}.onnx": export_branch(network, form=form, size_px=sizes[role])
        for role, network in trained.networks.items()
    }
    sessions: dict[Role, InferenceSession] = {
        role: OnnxRuntimeSession(files[f"{role}.onnx"], source=f"{role}.onnx", threads=threads) for role in ROLES
    }
    exported: dict[Role, nn.Module] = {role: rewritten[role][form] for role in ROLES}
    rungs.append(torch_to_onnxruntime(exported, sessions, inputs))
    progress(_summary(rungs[-1]))

    draft = _manifest(info, trained, form, sizes, files)
    progress("running the whole system in PyTorch")
    reference = [run_reference(trained.networks["large"], trained.networks["small"], image, draft) for image in images]
    with SegmentationPipeline(draft, sessions["large"], sessions["small"], _identity(info)) as pipeline:
        rungs.append(tiled_to_stitched(pipeline, reference, images))
    progress(_summary(rungs[-1]))

    files |= golden_files(images[0], reference[0])
    files[_MODEL_CARD] = model_card(info, trained.facts, rungs, form, trained.sha256)
    certificate = make_certificate(
        _manifest(info, trained, form, sizes, files), rungs, facts={"checkpoint_sha256": trained.sha256, "form": form}
    )
    files[_CERTIFICATE] = certificate.model_dump_json(indent=1).encode()
    manifest = _manifest(info, trained, form, sizes, files)
    with staged_bundle(out, {**files, MANIFEST_FILE: manifest.model_dump_json(indent=1).encode()}) as staged:
        Bundle.open(staged)
        _require_golden(verify_bundle(str(staged)))
    progress(f"wrote {out}")
    return certificate


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


def _forms(trained: TrainedSystem, role: Role, form: Form, inputs: ParityInputs) -> Mapping[str, nn.Module]:
    """Return every form the network has; the one that is exported is a must."""
    network = trained.networks[role]
    example = next(iter(inputs.tensors(role).values()))
    forms: dict[str, nn.Module] = {}
    for name in FORMS:
        try:
            forms[name] = deployed_form(network, name, example=example)
        except RewriteDeclined as error:
            if name == form:
                raise
            logger.info("%s: no %s form (%s)", role, name, error)
    return forms


def _manifest(
    info: BundleInfo, trained: TrainedSystem, form: Form, sizes: Mapping[Role, int], files: Mapping[str, bytes]
) -> Manifest:
    """Return the manifest; files that are not made yet are recorded as empty, which `content_sha256` does not see."""
    config = trained.config
    empty = FileRecord(sha256=hashlib.sha256(b"").hexdigest(), bytes=0)
    records = dict.fromkeys((*GOLDEN.model_dump().values(), _CERTIFICATE, _MODEL_CARD), empty)
    for name, content in files.items():
        records[name] = FileRecord(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    networks: dict[Role, NetworkSpec] = {
        role: NetworkSpec(
            role="whole_image" if role == "large" else "tile",
            input=TensorSpec(
                name=INPUT, dtype="float32", shape=("batch", config.unet.in_channels, sizes[role], sizes[role])
            ),
            output=TensorSpec(name=OUTPUT, dtype="float32", shape=("batch", 1, sizes[role], sizes[role])),
            variants=(VariantSpec(file=f"{role}.onnx", form=form),),
        )
        for role in ROLES
    }
    try:
        return Manifest(
            name=info.name,
            version=info.version,
            system="cmwnet",
            label=info.label,
            description=info.description,
            intended_use=info.intended_use,
            preprocess=config.preprocess_spec(),
            tile=config.tile_spec(),
            whole_image=config.whole_spec(),
            networks=networks,
            postprocess=config.postprocess_spec(),
            golden=GOLDEN,
            certificate=_CERTIFICATE,
            model_card=_MODEL_CARD,
            files=dict(sorted(records.items())),
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"bundle, {place}", got=repr(first.get("input")), expected=first["msg"]) from error


def _identity(info: BundleInfo) -> dict[str, object]:
    """What a result's provenance asks for; these results are only compared, never kept."""
    return {
        "bundle": info.name,
        "bundle_version": info.version,
        "bundle_sha256": "",
        "backend": "onnxruntime",
        "provider": "",
        "device": "cpu",
        "precision": "fp32",
        "versions": {},
    }


def _unnamed(image: FundusImage, index: int) -> FundusImage:
    """Drop the file name, which may name a patient: the certificate is shipped."""
    return from_array(image.pixels, source_id=f"parity image {index + 1}")


def _summary(rung: Rung) -> str:
    worst = max(
        rung.measurements,
        key=lambda m: m.value / m.limit if m.bound == "at_most" and m.limit else float(not m.holds),
    )
    state = "holds" if rung.holds else "DOES NOT HOLD"
    return f"rung {rung.name} {state}: {worst.metric} {worst.value:.2e} (limit {worst.limit:g})"
