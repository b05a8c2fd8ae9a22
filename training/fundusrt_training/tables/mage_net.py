"""MAGE-Net's ablation, Table 6 (Guo et al. 2023): stages, structure module (RSP) and teacher (TS)."""

from __future__ import annotations

from fundusrt_training.tables.paper_table import PaperRow, PaperTable, figures

__all__ = ["MAGE_NET_TABLES"]

_METRICS = ("psnr", "ssim")
_NO_RSP, _NO_TEACHER = "net.use_rsp=false", "teacher.enabled=false"


def _row(key: str, title: str, settings: tuple[str, ...], psnr: float, ssim: float) -> PaperRow:
    return PaperRow(key, title, settings, paper={"EyeQ": figures(_METRICS, psnr, ssim)})


MAGE_NET_TABLES = (
    PaperTable(
        name="mage-6",
        system="mage-net",
        title="what the second stage, the structure module and the teacher bring",
        source="T-MAGE-Net paper, Table 6",
        metrics=_METRICS,
        sets=("EyeQ",),
        rows=(
            _row("s1", "S1", ("net.stages=1", _NO_RSP, _NO_TEACHER), 22.93, 0.9109),
            _row("s1-s2", "S1 + S2", (_NO_RSP, _NO_TEACHER), 23.35, 0.9168),
            _row("rsp", "S1 + S2 + RSP (MAGE-Net)", (_NO_TEACHER,), 23.72, 0.9228),
            _row("ts", "S1 + S2 + TS", (_NO_RSP,), 24.47, 0.9273),
            _row("no-cab", "all, CAB without attention", ("net.cab_attention=false",), 23.33, 0.9212),
            _row("all", "S1 + S2 + RSP + TS (T-MAGE-Net)", (), 24.72, 0.9281),
        ),
        note="Printed: 500 degraded photographs of EyeQ that were not trained on.",
    ),
)
