"""The parity ladder as a table: its rungs, what each compares, and every limit with its reason.

The one place of the limits. `fundusrt export` measures against them, `fundusrt verify` measures again on this machine,
a certificate with looser ones is refused, and `docs/parity-ladder.md` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LADDER", "Limit", "RungKind", "limit_for", "limit_of", "needed_limits"]

Bound = Literal["at_most", "at_least"]
Task = Literal["segmentation", "enhancement"]


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        metric: what is measured.
        value: the limit.
        why: its reason.
        bound: `at_most` or `at_least`.
        task: for which alone it is measured; None for every system that has the rung.
        needed: whether a certificate without the figure is refused; not for figures that came after its format.
    """

    metric: str
    value: float
    why: str
    bound: Bound = "at_most"
    task: Task | None = None
    needed: bool = True


@dataclass(frozen=True)
class RungKind:
    """One rung.

    Attributes:
        code: its place in the ladder, R0 to R7; empty for what only a user's machine can compare.
        compares: the two neighbours.
        where: who measures it.
        limits: by a short name.
    """

    code: str
    compares: str
    where: str
    limits: dict[str, Limit]


_LESIONS = "lesions found"


def _precision(
    drop: float, flipped: float, difference: float, cosine: float, medium: float, psnr: float, ssim: float
) -> dict[str, Limit]:
    """R4 has the same figures in every precision."""
    near = "a pixel may be turned by rounding where the probability lies within 0.02 of the threshold, not elsewhere"
    decibels = "50 dB is 0.8 grey levels root mean square"
    return {
        "drop": Limit(
            "Dice drop against the float32 mask",
            drop,
            "held-out tiles, one pool: below what readers see",
            task="segmentation",
        ),
        "noise": Limit("PSNR against the float32 image, dB", psnr, decibels, "at_least", "enhancement"),
        "difference": Limit("99.9th percentile of |difference|", difference, "one in a thousand samples may be worse"),
        "cosine": Limit("cosine", cosine, "the answer as a whole keeps its shape", "at_least"),
        "outside": Limit(
            "share of the field turned, further than 0.02 from the threshold", flipped, near, task="segmentation"
        ),
        "inside": Limit("share of the field turned, within 0.02 of the threshold", 1e-3, near, task="segmentation"),
        "medium": Limit(
            f"{_LESIONS}, 64 to 1023 px", medium, "a pool hides a lesion that is lost", "at_least", "segmentation"
        ),
        "large": Limit(
            f"{_LESIONS}, 1024 px and more", 1.0, "none of this size may be lost", "at_least", "segmentation"
        ),
        "psnr": Limit("PSNR, dB", psnr, f"as 8-bit images: {decibels}", "at_least", "enhancement"),
        "ssim": Limit("SSIM", ssim, "no structure appears or vanishes", "at_least", "enhancement"),
    }


_WHERE_PRECISION = (
    "export, on held-out images and the golden one; `verify --precision` in the runtime on the golden one, without the"
    " drop"
)

LADDER: dict[str, RungKind] = {
    "wavelet-matrix": RungKind(
        "R0",
        "each wavelet step, float32, and the matrices of PyWavelets' filters, float64; odd and even sizes, every mode",
        "export, systems with wavelets",
        {
            "bands": Limit("max |difference| / range", 1e-6, "a dozen float32 roundings of 6e-8"),
            "round trip": Limit("max |inverse(forward) - input| / range", 1e-5, "twice as many, added up again"),
        },
    ),
    "wavelet-rewrite": RungKind(
        "R1",
        "PyTorch with pytorch_wavelets and PyTorch with rewritten wavelet steps, float32",
        "export, systems with wavelets",
        {
            "steps": Limit("wavelet steps alone", 1e-5, "another order of summation"),
            "logits": Limit("max |logit difference| / logit range", 1e-5, "the same, through every layer"),
        },
    ),
    "deployed-form": RungKind(
        "R1",
        "the training network and its pruned and rewritten form, PyTorch, float32",
        "export, systems without wavelets",
        {"difference": Limit("max |difference| / range", 1e-5, "another order of summation")},
    ),
    "torch-to-onnxruntime": RungKind(
        "R2",
        "rewritten PyTorch in float64 and the exported file in ONNX Runtime in float32, batches of 1 and 3",
        "export; `verify` repeats it against the recorded maps (`network`)",
        {
            "difference": Limit(
                "max |difference| / range", 1e-4, "float32 through fifty layers and a steep sigmoid: 5e-5 was seen"
            ),
            "cosine": Limit("cosine", 0.99999, "a difference spread over the whole map", "at_least"),
        },
    ),
    "runtimes": RungKind(
        "R3",
        "ONNX Runtime and every other runtime or graph variant of the same network, float32",
        "export; `verify` where the runtime is installed",
        {
            "difference": Limit("max |difference| / range", 2e-4, "R2 twice: both round, each within R2 of the truth"),
            "most": Limit("99.9th percentile of |difference| / range", 5e-5, "half the largest: float32, steep maps"),
            "cosine": Limit("cosine", 0.99999, "as R2", "at_least"),
        },
    ),
    "precision-fp16": RungKind(
        "R4",
        "float32 and float16 of the same network, rounded in float32 arithmetic as its file says",
        _WHERE_PRECISION,
        _precision(2e-3, 1e-4, 2e-2, 0.999, 0.99, 50.0, 0.999),
    ),
    "precision-bf16": RungKind(
        "R4",
        "float32 and bfloat16 of the same network, rounded in float32 arithmetic as its file says",
        _WHERE_PRECISION,
        _precision(5e-3, 1e-3, 5e-2, 0.999, 0.97, 40.0, 0.99),
    ),
    "precision-int8": RungKind(
        "R4",
        "float32 and 8-bit integers of the same network",
        _WHERE_PRECISION,
        _precision(5e-3, 1e-3, 5e-2, 0.999, 0.97, 40.0, 0.99),
    ),
    "tiled-to-stitched": RungKind(
        "R5",
        "the whole system in plain PyTorch and the pipeline over the exported files: maps, seams, batches, grid, mask",
        "export; `verify` repeats it (`network`, `stitched`, `mask`)",
        {
            "difference": Limit("max |difference|", 1e-4, "R2, of probabilities"),
            "seam": Limit("max |difference| of the jumps across tile borders", 1e-4, "no seam that PyTorch has not"),
            "moved": Limit(
                "share of pixels turned by a grid moved by half a tile, against PyTorch's share",
                2e-5,
                "twice the next: both masks round",
                needed=False,
            ),
            "flipped": Limit(
                "share of pixels that differ",
                1e-5,
                "a probability within rounding of the threshold may fall on either side: 10 px a megapixel",
            ),
        },
    ),
    "end-to-end": RungKind(
        "R5",
        "the whole system in plain PyTorch and the pipeline over the exported file; one frame, so no seams",
        "export; `verify` repeats it (`network`, `mask` or `image`)",
        {
            "map": Limit("max |difference|", 1e-4, "R2, of probabilities", task="segmentation"),
            "flipped": Limit("share of pixels that differ", 1e-5, "10 a megapixel, as above", task="segmentation"),
            "frame": Limit("max |difference| / range", 1e-4, "R2, of the image's range", task="enhancement"),
            "off": Limit(
                f"share of samples off by more than {0.5 + 3 * 255 * 1e-4:.2f} grey levels",
                1e-5,
                "half a level of rounding, and R2 of a change of at most three white levels",
                task="enhancement",
            ),
        },
    ),
    "cgnr": RungKind(
        "R6",
        "CGNR and fusion as deployed (OpenCV, in bands) and pixel by pixel from their definition",
        "export and `verify`, systems with CGNR",
        {"pixels": Limit("pixels that differ", 0.0, "masks are integers: nothing to round")},
    ),
    "task": RungKind(
        "R7",
        "the mask or image of the whole system in plain PyTorch and the pipeline's",
        "export; `verify` repeats it (`mask` or `image`)",
        {
            "dice": Limit(
                "Dice",
                0.998,
                "what this project allows float16 to lose; float32 loses no more",
                "at_least",
                "segmentation",
            ),
            "area": Limit(
                "area difference / area",
                5e-3,
                "areas are followed from visit to visit; at least 1e-3 of the image",
                task="segmentation",
            ),
            "small": Limit(
                f"{_LESIONS}, under 64 px",
                0.99,
                "one of 100 may lie on the threshold",
                "at_least",
                "segmentation",
                needed=False,
            ),
            "medium": Limit(
                f"{_LESIONS}, 64 to 1023 px",
                0.99,
                "half of one on the threshold is rare",
                "at_least",
                "segmentation",
                needed=False,
            ),
            "large": Limit(
                f"{_LESIONS}, 1024 px and more",
                1.0,
                "none of this size may be lost",
                "at_least",
                "segmentation",
                needed=False,
            ),
            "psnr": Limit("PSNR, dB", 50.0, "0.8 grey levels root mean square", "at_least", "enhancement"),
            "ssim": Limit("SSIM", 0.999, "no structure appears or vanishes", "at_least", "enhancement"),
        },
    ),
    "preprocessing": RungKind(
        "",
        "recorded pre-processed arrays and this machine's",
        "`load` and `verify`",
        {
            "share": Limit(
                "share of pixels off by more than 1 grey level", 1e-3, "OpenCV's averages; a rim pixel of the field"
            )
        },
    ),
    "network": RungKind(
        "R2",
        "recorded maps of PyTorch and this machine's",
        "`verify`",
        {"difference": Limit("max |difference|", 1e-4, "R2; maps are recorded to 8e-6")},
    ),
    "stitched": RungKind(
        "R5",
        "tiles run one by one and put in place by their position, and the stitched map",
        "`verify`, systems with tiles",
        {"difference": Limit("max |difference|", 1e-4, "R2; zero where a batch is one tile")},
    ),
    "mask": RungKind(
        "R7",
        "recorded mask and this machine's",
        "`verify`",
        {"flipped": Limit("share of mask pixels that differ", 1e-4, "R5, on another machine")},
    ),
    "image": RungKind(
        "R7",
        "recorded image and this machine's",
        "`verify`",
        {"off": Limit("share of samples off by more than 1 grey level", 1e-4, "a half may be rounded either way")},
    ),
}
"""Every rung by its name in a certificate or in what `fundusrt verify` prints."""


def limit_of(rung: str, name: str) -> Limit:
    """Return a limit by the rung's name and its own."""
    return LADDER[rung].limits[name]


def limit_for(rung: str, metric: str) -> Limit | None:
    """Return the limit of a figure by its name in a certificate, `WHAT WAS COMPARED: METRIC` or `METRIC`, if any."""
    limits = LADDER[rung].limits.values() if rung in LADDER else ()
    return next((each for each in limits if metric == each.metric or metric.endswith(f": {each.metric}")), None)


def needed_limits(rung: str, task: str) -> list[Limit]:
    """Return the limits of which a certificate of a system with this task must have figures."""
    return [each for each in LADDER[rung].limits.values() if each.needed and each.task in (None, task)]
