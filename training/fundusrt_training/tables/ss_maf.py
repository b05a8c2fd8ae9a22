"""SS-MAF's ablation, Table I (Zhang et al. 2022, means of five runs); percent are written as parts of one."""

from __future__ import annotations

from fundusrt_training.tables.paper_table import PaperRow, PaperTable, figures

__all__ = ["SS_MAF_TABLES"]

_METRICS = ("dice", "iou", "recall", "pr_auc")


def _row(key: str, title: str, stream: str, idrid: tuple[float, ...], eophtha: tuple[float, ...]) -> PaperRow:
    paper = {"IDRiD": figures(_METRICS, *idrid), "E-Ophtha": figures(_METRICS, *eophtha)}
    return PaperRow(key, title, (f"net.stream={stream}",), paper=paper)


SS_MAF_TABLES = (
    PaperTable(
        name="ss-maf-ablation",
        system="ss-maf",
        title="what enlarging, super-resolution and fusion bring",
        source="SS-MAF paper, Table I",
        metrics=_METRICS,
        sets=("IDRiD", "E-Ophtha"),
        rows=(
            _row("unet", "U-Net", "unet", (0.5622, 0.3911, 0.4702, 0.8479), (0.4659, 0.3039, 0.5570, 0.7969)),
            _row(
                "interp", "+ Interp", "unet_interp", (0.5662, 0.3956, 0.4540, 0.8256), (0.4499, 0.2915, 0.4035, 0.7362)
            ),
            _row("sr", "+ SR", "unet_interp_sr", (0.5744, 0.4036, 0.4642, 0.8249), (0.5112, 0.3436, 0.6066, 0.8507)),
            _row("maf", "+ MAF", "full", (0.7255, 0.5693, 0.6939, 0.8596), (0.5296, 0.3603, 0.5780, 0.8442)),
        ),
        note="Printed: means of five runs. The paper kept the weights with the best validation IoU, here the last.",
    ),
)
