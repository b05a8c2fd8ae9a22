"""The golden test vectors of a bundle: an image and what each stage must make of it."""

from __future__ import annotations

from fundusrt.agreement import share_off
from fundusrt.bundle import Bundle
from fundusrt.errors import BundleError, InvalidInput
from fundusrt.image import FundusImage, from_array
from fundusrt.ladder import limit_of
from fundusrt.systems import system_of

__all__ = ["check_preprocessing", "golden_image", "preprocessing_shares"]

# Pre-processing is integer work but for OpenCV's averages and cubic weights: a half may round either way from build to
# build.
MAX_LEVELS = 1
# A rim pixel of the field of view may fall on the other side; nothing else may.
MAX_OUTLIERS = limit_of("preprocessing", "share").value


def golden_image(bundle: Bundle) -> FundusImage:
    """Return the bundle's golden input.

    Raises:
        BundleError: it is no image that a pipeline accepts.
    """
    name = bundle.manifest.golden.image
    pixels = bundle.read_image(name)
    try:
        return from_array(pixels, source_id=f"{bundle.manifest.name}/{name}")
    except InvalidInput as error:
        raise BundleError(
            f"{bundle.source}, {name}", got=error.got, expected=error.expected, fix="export the bundle again"
        ) from error


def preprocessing_shares(bundle: Bundle) -> dict[str, float]:
    """Pre-process the golden image here and compare with what the export recorded.

    Returns:
        Share of differing pixels (by more than one grey level) of each pre-processed array, by stage.
    """
    manifest = bundle.manifest
    made = system_of(manifest).preprocessed(manifest, golden_image(bundle))
    return {
        stage: share_off(bundle.read_array(name), made[stage], MAX_LEVELS)
        for stage, name in manifest.golden.preprocessed.items()
    }


def check_preprocessing(bundle: Bundle) -> dict[str, float]:
    """Return `preprocessing_shares`, or refuse the bundle.

    Raises:
        BundleError: this installation pre-processes differently from the one that made the bundle.
    """
    shares = preprocessing_shares(bundle)
    for stage, share in shares.items():
        if not share <= MAX_OUTLIERS:
            raise BundleError(
                f"{bundle.source}, golden pre-processing, {stage}",
                got=f"{100.0 * share:.3f} % of the pixels off by more than {MAX_LEVELS} grey level",
                expected=f"at most {100.0 * MAX_OUTLIERS} %",
                fix="use the package versions of the certificate (`fundusrt inspect`), or export the bundle again",
            )
    return shares
