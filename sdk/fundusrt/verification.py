"""A bundle's ladder on this machine: every rung that needs no PyTorch, beside the figures of the certificate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fundusrt.agreement import measured
from fundusrt.backends import BACKENDS, target_of
from fundusrt.bundle import Bundle
from fundusrt.certificate import Certificate, Measurement, Rung
from fundusrt.errors import BackendUnavailable
from fundusrt.golden import golden_image, preprocessing_shares
from fundusrt.loading import AnyPipeline, load
from fundusrt.precision_agreement import precision_figures
from fundusrt.systems import system_of
from fundusrt.systems.system import Comparison, Figure, GoldenAnswer

__all__ = ["OtherRuntimes", "VerifiedRung", "compare_pipeline", "verify_bundle", "verify_other_runtimes"]


class VerifiedRung(Rung):
    """A rung of this machine.

    Attributes:
        certified: for each measurement the figure of the export that measured the same, or None where there is none.
    """

    certified: tuple[Measurement | None, ...]


@dataclass(frozen=True)
class OtherRuntimes:
    """What the bundle's other runtimes gave.

    Attributes:
        rungs: of each runtime that runs here, `RUNTIME: name of the rung`.
        not_measured: the others, and why.
    """

    rungs: list[VerifiedRung]
    not_measured: dict[str, str]


def verify_bundle(
    name_or_path: str, *, backend: str = "onnxruntime", device: str = "cpu", precision: str = "fp32"
) -> list[VerifiedRung]:
    """Run the golden image stage by stage and compare with what the export recorded.

    Opening the bundle has already checked every hash and the certificate.

    Returns:
        The rung `preprocessing`, one for each network (`network`, or `network-NAME` where there are several), for a
        system with tiles `stitched` and `cgnr`, and one for the answer (`mask` or `image`); whether each holds is in
        `Rung.holds`. Where `preprocessing` does not hold it is the only one: such a bundle cannot be loaded.
        Golden vectors are those of fp32: of another precision, the rung `precision-P` has the distance of each
        network's answer from them, and nothing else is compared.

    Raises:
        BundleError: the bundle is refused.
        BackendUnavailable: this machine cannot run it as asked.
    """
    bundle = Bundle.open(name_or_path)
    shares = preprocessing_shares(bundle)
    off = tuple(measured("preprocessing", "share", share, stage) for stage, share in shares.items())
    first = VerifiedRung(
        name="preprocessing",
        compares="golden pre-processed arrays and this machine's",
        inputs=_inputs(bundle),
        measurements=off,
        certified=(None,) * len(off),
    )
    if not first.holds:
        return [first]
    return [first, *_compare(bundle, name_or_path, backend, device, precision)]


def verify_other_runtimes(
    name_or_path: str, *, backend: str = "onnxruntime", device: str = "cpu", precision: str = "fp32"
) -> OtherRuntimes:
    """Do the same with every other runtime for which the bundle has networks in this precision.

    Args:
        name_or_path: the bundle.
        backend: the runtime that is not an other one.
        device: as of `load`.
        precision: as of `load`.

    Raises:
        BundleError: the bundle is refused.
    """
    bundle = Bundle.open(name_or_path)
    variants = [variant for network in bundle.manifest.networks.values() for variant in network.variants]
    found = OtherRuntimes([], {})
    for target in sorted({variant.target for variant in variants if variant.precision == precision} - {backend}):
        if target not in BACKENDS:
            found.not_measured[target] = "this version has no such backend"
            continue
        try:
            rungs = _compare(bundle, name_or_path, target, device, precision)
        except BackendUnavailable as error:
            found.not_measured[target] = str(error)
            continue
        found.rungs.extend(rung.model_copy(update={"name": f"{target}: {rung.name}"}) for rung in rungs)
    return found


def _compare(bundle: Bundle, source: str, backend: str, device: str, precision: str) -> list[VerifiedRung]:
    with load(source, backend=backend, device=device, precision=precision) as pipeline:
        return compare_pipeline(pipeline, bundle, backend=backend, precision=precision)


def compare_pipeline(
    pipeline: AnyPipeline, bundle: Bundle, *, backend: str = "onnxruntime", precision: str = "fp32"
) -> list[VerifiedRung]:
    """Compare the answers of an open pipeline with the golden ones: the rungs of `verify_bundle` after the first.

    Args:
        pipeline: opened from this bundle.
        bundle: holds what was recorded.
        backend: what it was opened with.
        precision: the same.
    """
    system = system_of(bundle.manifest)
    comparisons: Iterable[Comparison]
    if precision == "fp32":
        comparisons = system.compare(pipeline, bundle, golden_image(bundle))
    else:
        comparisons = [_reduced(bundle, backend, precision, system.golden_answers(pipeline, bundle))]
    return [
        VerifiedRung(
            name=each.name,
            compares=each.compares,
            inputs=_inputs(bundle),
            measurements=tuple(figure.measurement for figure in each.figures),
            certified=tuple(_certified(bundle.certificate, *figure.certified) for figure in each.figures),
        )
        for each in comparisons
    ]


def _reduced(bundle: Bundle, backend: str, precision: str, answers: Mapping[str, GoldenAnswer]) -> Comparison:
    """Compare each network's answer with the recorded one of float32."""
    name, threshold = f"precision-{precision}", system_of(bundle.manifest).threshold(bundle.manifest)
    figures: list[Measurement] = []
    target = target_of(backend)
    for network, answer in answers.items():
        variants = bundle.manifest.networks[network].variants
        (file,) = (each.file for each in variants if (each.target, each.precision) == (target, precision))
        truth, made, window = answer.expected[None], answer.made[None], [answer.window]
        figures += precision_figures(
            precision, truth, made, window, threshold=threshold, network=f"golden image, {file}"
        )
    compares = f"golden float32 answers and this machine's in {precision}"
    return Comparison(name, compares, tuple(Figure(each, (name, each.metric)) for each in figures))


def _inputs(bundle: Bundle) -> dict[str, str]:
    name = bundle.manifest.golden.image
    return {name: bundle.manifest.files[name].sha256}


def _certified(certificate: Certificate, rung: str, metric: str) -> Measurement | None:
    figures = (figure for each in certificate.rungs if each.name == rung for figure in each.measurements)
    return next((figure for figure in figures if figure.metric == metric), None)
