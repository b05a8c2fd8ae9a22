"""A bundle's golden vectors, run on this machine, rung by rung."""

from __future__ import annotations

from fundusrt.agreement import at_most
from fundusrt.bundle import Bundle
from fundusrt.certificate import Measurement, Rung
from fundusrt.golden import MAX_OUTLIERS, check_preprocessing, golden_image
from fundusrt.loading import load
from fundusrt.systems import system_of

__all__ = ["verify_bundle"]


def verify_bundle(
    name_or_path: str, *, backend: str = "onnxruntime", device: str = "cpu", precision: str = "fp32"
) -> list[Rung]:
    """Run the golden image stage by stage and compare with what the export recorded.

    Opening the bundle has already checked every hash and the certificate.

    Returns:
        The rung `preprocessing`, one for each network (`network`, or `network-NAME` where there are several) and one
        for the answer (`mask` or `image`); whether each holds is in `Rung.holds`.

    Raises:
        BundleError: the bundle is refused.
        BackendUnavailable: this machine cannot run it as asked.
    """
    bundle = Bundle.open(name_or_path)
    manifest = bundle.manifest
    shares = check_preprocessing(bundle)
    inputs = {manifest.golden.image: manifest.files[manifest.golden.image].sha256}

    def rung(name: str, compares: str, *measurements: Measurement) -> Rung:
        return Rung(name=name, compares=compares, inputs=inputs, measurements=measurements)

    with load(name_or_path, backend=backend, device=device, precision=precision) as pipeline:
        comparisons = system_of(manifest).compare(pipeline, bundle, golden_image(bundle))
    off = (at_most(f"{stage} pixel share off", share, MAX_OUTLIERS) for stage, share in shares.items())
    return [
        rung("preprocessing", "golden pre-processed arrays and this machine's", *off),
        *(rung(each.name, each.compares, each.measurement) for each in comparisons),
    ]
