"""CMWNet's Tables 1 to 3 (Han et al. 2026, DOI 10.1167/tvst.15.3.22).

The copies of the paper that could be had lack every figure printed in bold: the best of each column, and so nearly all
of the paper's own.
"""

from __future__ import annotations

from fundusrt_training.tables.paper_table import PaperRow, PaperTable, figures

__all__ = ["CMWNET_TABLES"]

_METRICS = ("dice", "hd95", "asd")
_LOST = "Figures in bold are lost in the copies of the paper that could be had."


def _internal(*values: float | None) -> dict[str, dict[str, float | None]]:
    return {"internal": dict(figures(_METRICS, *values))}


def _both(internal: tuple[float | None, ...], external: tuple[float | None, ...]) -> dict[str, dict[str, float | None]]:
    return _internal(*internal) | {"external": dict(figures(_METRICS, *external))}


_NO_NETWORK = "MONAI has no {}"

_ALPHA = PaperTable(
    name="cmwnet-1",
    system="cmwnet",
    title="how fast the whole-image branch follows: alpha of the average",
    source="CMWNet paper, Table 1",
    metrics=_METRICS,
    sets=("internal",),
    rows=tuple(
        PaperRow(f"alpha-{alpha}", f"alpha {alpha}", (f"ema.alpha={alpha}",), paper=_internal(*printed))
        for alpha, printed in (
            (0.1, (0.8567, 37.2387, 9.0541)),
            (0.3, (None, None, None)),
            (0.5, (0.8492, 50.0327, 9.1005)),
            (0.7, (0.8366, 48.8912, 10.0068)),
            (0.9, (0.8443, 42.1569, 9.9510)),
        )
    ),
    note=f"{_LOST} So are the rows' labels: the text says that 0.3, the second, is best; the others are presumed.",
)

_BACKBONES = PaperTable(
    name="cmwnet-2",
    system="cmwnet",
    title="the network of both branches",
    source="CMWNet paper, Table 2",
    metrics=_METRICS,
    sets=("internal", "external"),
    external="external",
    rows=(
        PaperRow(
            "unet",
            "UNet",
            ("backbone=unet",),
            paper=_both((0.7562, 69.6572, 25.5643), (0.7452, 91.1917, 26.4464)),
        ),
        PaperRow(
            "deeplabv3plus",
            "DeepLabv3+",
            paper=_both((0.7528, 58.7633, 22.0357), (0.7697, 87.2788, 15.7663)),
            not_built=_NO_NETWORK.format("DeepLabv3+"),
        ),
        PaperRow(
            "cenet",
            "CE-Net",
            paper=_both((0.7498, 44.4861, 18.1592), (0.7280, 122.7067, 57.7873)),
            not_built=_NO_NETWORK.format("CE-Net"),
        ),
        PaperRow(
            "hardnet",
            "HarDNet",
            paper=_both((0.7209, 98.8912, 54.6875), (0.7261, 243.6733, 76.5197)),
            not_built=_NO_NETWORK.format("HarDNet"),
        ),
        PaperRow(
            "swinunet",
            "SwinUNet",
            paper=_both((0.8236, 36.6795, 10.4763), (0.7913, None, 14.7302)),
            not_built=_NO_NETWORK.format("SwinUNet; see swin-unetr"),
        ),
        PaperRow(
            "transunet",
            "TransUNet",
            paper=_both((0.8095, 40.6464, 11.1658), (0.7702, 56.4508, 15.8719)),
            not_built=_NO_NETWORK.format("TransUNet; see unetr"),
        ),
        PaperRow(
            "unet-wavelet",
            "UNet-Wavelet (CMWNet)",
            ("backbone=unet_wavelet",),
            paper=_both((None, None, None), (None, 55.5972, None)),
        ),
        # Relatives of SwinUNet and TransUNet that MONAI has; the paper has no such rows.
        PaperRow("swin-unetr", "SwinUNETR (MONAI)", ("backbone=swin_unetr",)),
        PaperRow("unetr", "UNETR (MONAI)", ("backbone=unetr",)),
    ),
    note=_LOST,
)

_BRANCHES = PaperTable(
    name="cmwnet-3",
    system="cmwnet",
    title="one branch alone, both, and both without refinement (CGNR) or fusion",
    source="CMWNet paper, Table 3; the rows after CMWNet are not in the paper",
    metrics=_METRICS,
    sets=("internal",),
    rows=(
        PaperRow("crop", "Crop", ("mode=crop",), paper=_internal(0.8385, 40.3721, 9.5814)),
        PaperRow("down", "Down-Sampling", ("mode=down",), paper=_internal(0.7702, 63.8056, 18.9267)),
        PaperRow("cmwnet", "CMWNet", ("mode=cmwnet",), paper=_internal(None, None, None)),
        PaperRow("no-cgnr", "CMWNet without CGNR", run="cmwnet", after=("cgnr.enabled=false",)),
        PaperRow("no-fusion", "CMWNet without fusion", run="cmwnet", after=("post.order=cgnr_only",)),
        PaperRow("tile-branch", "CMWNet's tile branch", run="cmwnet", mode="crop"),
        PaperRow("whole-branch", "CMWNet's whole-image branch", run="cmwnet", mode="down"),
    ),
    note=_LOST,
)

CMWNET_TABLES = (_ALPHA, _BACKBONES, _BRANCHES)
