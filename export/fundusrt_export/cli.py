"""`fundusrt export`: checkpoint to certified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

__all__ = ["export"]


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="NAME.frt for one file, else a folder."
)
@click.option("--name", default=None, help="Name of the bundle.  [default: the output's name]")
@click.option("--model-version", default="0.1.0", show_default=True, help="Version of the model.")
@click.option(
    "--form",
    type=click.Choice(["identity", "convolution"]),
    default=None,
    help="Form of CMWNet's wavelet steps.  [default: identity]",
)
@click.option(
    "--target",
    "targets",
    type=click.Choice(["onnxruntime", "openvino", "tensorrt"]),
    multiple=True,
    default=("onnxruntime", "openvino", "tensorrt"),
    show_default=True,
    help="Runtime to make a graph for; onnxruntime is always needed. Repeatable.",
)
@click.option(
    "--dynamic-size",
    is_flag=True,
    help="Leave height and width of the networks' inputs free, for use without the SDK (CMWNet, identity form).",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "fp16", "bf16", "int8"]),
    multiple=True,
    default=("fp32",),
    show_default=True,
    help="Precision beside fp32, which is always there; needs --calibration. Repeatable.",
)
@click.option(
    "--calibration",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Real image, or folder of them, to reduce the precision on; every third one judges the result. Repeatable.",
)
@click.option(
    "--golden",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Image stored in the bundle with its vectors; must be free to share.  [default: a generated picture]",
)
@click.option(
    "--parity-image",
    "parity_images",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Further image to measure on; only its hash is stored. Repeatable.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting that is not fixed by training, such as post.threshold=0.4. Repeatable.",
)
@click.option("--label", default=None, help="What a mask pixel means.  [default: by system]")
@click.option("--description", default=None, help="One or two sentences.")
@click.option("--intended-use", default=None, help="What the model may be used for.")
@click.option("--training-data", default=None, help="What it was trained on, for the model card.")
@click.option("--results", default=None, help="Measured accuracy, for the model card.")
@click.option("--limits", default=None, help="Known limits, for the model card.")
@click.option(
    "--failure",
    "failures",
    type=(click.Path(exists=True, dir_okay=False, path_type=Path), str),
    multiple=True,
    metavar="PICTURE CAPTION",
    help="A known failure, for the model card; the picture is shipped. Repeatable.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=None, help="Threads of ONNX Runtime; PyTorch always takes one."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing bundle.")
def export(
    checkpoint: Path,
    out: Path,
    name: str | None,
    model_version: str,
    form: Literal["identity", "convolution"] | None,
    targets: tuple[Literal["onnxruntime", "openvino", "tensorrt"], ...],
    dynamic_size: bool,
    precisions: tuple[Literal["fp32", "fp16", "bf16", "int8"], ...],
    calibration: tuple[Path, ...],
    golden: Path | None,
    parity_images: tuple[Path, ...],
    settings: tuple[str, ...],
    failures: tuple[tuple[Path, str], ...],
    threads: int | None,
    overwrite: bool,
    **words: str | None,
) -> None:
    """Turn a CHECKPOINT into a bundle the SDK runs.

    The networks are pruned and rewritten exactly and go to ONNX, and the agreement with PyTorch is measured at every
    step on real images. The bundle carries these figures as its certificate. If one does not hold, nothing is written
    and the exit code is not 0.
    """
    from fundusrt_export.model_card import BundleInfo, KnownFailure
    from fundusrt_export.package import export_bundle

    given = {key: value for key, value in words.items() if value is not None}
    known = tuple(KnownFailure(picture, caption) for picture, caption in failures)
    info = BundleInfo(name=name or out.stem.lower(), version=model_version, failures=known, **given)
    certificate = export_bundle(
        checkpoint,
        out,
        info=info,
        form=form,
        targets=targets,
        any_size=dynamic_size,
        precisions=precisions,
        calibration=calibration,
        golden=golden,
        parity_images=parity_images,
        settings=settings,
        threads=threads,
        overwrite=overwrite,
        progress=click.echo,
    )
    for rung in certificate.rungs:
        for figure in rung.measurements:
            sign = "<=" if figure.bound == "at_most" else ">="
            click.echo(f"  {rung.name:22} {figure.metric:58} {figure.value:11.3e} {sign} {figure.limit:g}")
