"""How commands print the lesions of a result."""

from __future__ import annotations

from rich.table import Table

from fundusrt.result_files import Result
from fundusrt.results import SegmentationResult

__all__ = ["lesion_table", "lesion_table_of"]


def lesion_table_of(result: Result) -> Table | None:
    """Return the lesion table of a segmentation; None for a result without lesions to list."""
    return lesion_table(result) if isinstance(result, SegmentationResult) else None


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
