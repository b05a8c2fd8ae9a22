"""How commands print a result: one lesion table, one line an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from fundusrt.results import SegmentationResult

__all__ = ["lesion_table", "summary_line"]


def summary_line(result: SegmentationResult) -> str:
    """Return what was found in one image, in a line."""
    if not result.quality.gradable:
        return f"ungradable: {'; '.join(result.quality.reasons)}"
    count = len(result.lesions)
    share = f"{100.0 * result.area_fraction:.2f} % of the field"
    seconds = sum(result.timings_ms.values()) / 1000.0
    return f"{count} lesion{'' if count == 1 else 's'}, {result.area_px} px, {share}, {seconds:.1f} s"


def lesion_table(result: SegmentationResult, most: int = 10) -> Table:
    """Return the largest lesions as a table."""
    shown = result.lesions[:most]
    title = (
        f"{len(result.lesions)} lesions"
        if len(shown) == len(result.lesions)
        else (f"the {len(shown)} largest of {len(result.lesions)} lesions")
    )
    table = Table(title=title, title_justify="left")
    scaled = any(lesion.area_mm2 is not None for lesion in shown)
    headings = ["area px", *(["area mm²"] if scaled else []), "centroid y, x", "box y0, x0, y1, x1", "mean prob."]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for lesion in shown:
        table.add_row(
            str(lesion.area_px),
            *([f"{lesion.area_mm2:.4f}"] if lesion.area_mm2 is not None else []),
            f"{lesion.centroid[0]:.0f}, {lesion.centroid[1]:.0f}",
            ", ".join(str(value) for value in lesion.bbox),
            f"{lesion.mean_probability:.3f}",
        )
    return table
