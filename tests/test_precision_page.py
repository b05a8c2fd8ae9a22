"""docs/precision.md is what the recorded figures say, and none of them misses its limit."""

from __future__ import annotations

import json
import re

from benchmarks.precision_page import BUNDLES, PAGE, page
from benchmarks.record import RESULTS


def test_the_page_is_written_from_the_records() -> None:
    text = PAGE.read_text()
    (folder,) = re.findall(r"from `benchmarks/results/([a-z0-9-]+)`", text)
    assert page(RESULTS / folder) == text, "run python -m benchmarks.precision_page"
    paths = [RESULTS / folder / f"precision_{name}.json" for name in BUNDLES]
    for record in (json.loads(path.read_text()) for path in paths if path.exists()):
        assert [each for each in record["ladder"] if not each["holds"]] == []
        precisions = {(row["target"], row["precision"]) for row in record["rows"] if "error" not in row}
        assert {precision for target, precision in precisions if target == "tensorrt"} == {
            "fp32",
            "fp16",
            "bf16",
            "int8",
        }
        assert {"R4"} <= {each["rung"] for each in record["ladder"]}
