"""A bundle's golden vectors, run on this machine, rung by rung."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.bundle import Bundle
from fundusrt.certificate import Measurement, Rung
from fundusrt.golden import MAX_OUTLIERS, check_preprocessing, golden_image
from fundusrt.loading import load

__all__ = ["verify_bundle"]

# PyTorch to a runtime in fp32: 1e-4 of the output range, which is 1 for probabilities.
MAX_PROBABILITY_DIFFERENCE = 1e-4
# Pixels whose probability lies within that difference of the threshold may flip; on a real map they are this rare.
MAX_FLIPPED = 1e-4


def verify_bundle(
    name_or_path: str, *, backend: str = "onnxruntime", device: str = "cpu", precision: str = "fp32"
) -> list[Rung]:
    """Run the golden image stage by stage and compare with what the export recorded.

    Opening the bundle has already checked every hash and the certificate.

    Returns:
        The rungs `preprocessing`, `network-large`, `network-small` and `mask`; whether each holds is in `Rung.holds`.

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
        p_whole = pipeline.run_whole(np.asarray(bundle.read_array(manifest.golden.whole), np.uint8))
        p_grid = pipeline.run_tiles(np.asarray(bundle.read_array(manifest.golden.grid), np.uint8))
        mask = pipeline(golden_image(bundle)).mask
    flipped = _flipped(mask, bundle.read_image(manifest.golden.mask))
    return [
        rung(
            "preprocessing",
            "golden pre-processed arrays and this machine's",
            *(_at_most(f"{stage} pixel share off", share, MAX_OUTLIERS) for stage, share in shares.items()),
        ),
        rung("network-large", "golden and this machine's map", _difference(p_whole, bundle, manifest.golden.large)),
        rung("network-small", "golden and this machine's map", _difference(p_grid, bundle, manifest.golden.small)),
        rung("mask", "golden and this machine's mask", _at_most("flipped pixel share", flipped, MAX_FLIPPED)),
    ]


def _difference(made: npt.NDArray[np.float32], bundle: Bundle, name: str) -> Measurement:
    expected = bundle.read_array(name)
    comparable = made.shape == expected.shape and expected.dtype == np.float32
    value = float(np.abs(made - expected).max()) if comparable else float("inf")
    return _at_most("max abs probability difference", value, MAX_PROBABILITY_DIFFERENCE)


def _flipped(mask: npt.NDArray[np.bool_], expected: npt.NDArray[Any]) -> float:
    return np.count_nonzero(mask ^ (expected > 0)) / mask.size if mask.shape == expected.shape else 1.0


def _at_most(metric: str, value: float, limit: float) -> Measurement:
    return Measurement(metric=metric, value=value, limit=limit, bound="at_most")
