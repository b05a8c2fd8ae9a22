"""The tables as data: rows that can be trained and scored, and figures as they are printed."""

from __future__ import annotations

import pytest

from fundusrt.errors import UsageError
from fundusrt_training.configuration import apply_settings
from fundusrt_training.systems.registry import SYSTEMS, config_type, evaluator_type
from fundusrt_training.tables.paper_table import PaperTable
from fundusrt_training.tables.registry import TABLES

RUNNABLE = [table for table in TABLES.values() if table.system in SYSTEMS]


def test_the_tables() -> None:
    assert set(TABLES) == {"cmwnet-1", "cmwnet-2", "cmwnet-3", "ss-maf-ablation", "mage-6"}
    assert {table.system for table in RUNNABLE} >= {"cmwnet", "ss-maf"}


@pytest.mark.parametrize("table", RUNNABLE, ids=lambda table: table.name)
def test_rows_are_configurations_that_differ(table: PaperTable) -> None:
    kind, evaluator = config_type(table.system), evaluator_type(table.system)
    configs = []
    for row in table.rows:
        if row.not_built is not None:
            continue
        config = apply_settings(kind(), [*table.run_of(row).settings])
        assert all(setting.startswith(evaluator.adjustable) for setting in row.after)
        modes = evaluator.modes(config, () if row.mode is None else (row.mode,), "run")
        configs.append((str(apply_settings(config, list(row.after)).to_dict()), modes))
    assert len(configs) > 2
    assert len({str(each) for each in configs}) == len(configs)
    assert set(table.metrics) <= {metric.name for metric in evaluator.metrics}


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_rows_and_printed_figures_are_complete(table: PaperTable) -> None:
    keys = [row.key for row in table.rows]
    assert len(set(keys)) == len(keys)
    for row in table.rows:
        assert set(row.paper) in (set(), set(table.sets))
        assert all(list(figures) == list(table.metrics) for figures in row.paper.values())
        if row.run is not None:
            assert table.row(row.run).run is None
            assert row.settings == ()
    assert table.external is None or table.external in table.sets


@pytest.mark.parametrize(
    ("name", "key", "data", "metric", "value"),
    [
        ("cmwnet-1", "alpha-0.1", "internal", "dice", 0.8567),
        ("cmwnet-1", "alpha-0.3", "internal", "dice", None),
        ("cmwnet-1", "alpha-0.9", "internal", "asd", 9.9510),
        ("cmwnet-2", "unet", "external", "hd95", 91.1917),
        ("cmwnet-2", "hardnet", "external", "hd95", 243.6733),
        ("cmwnet-2", "swinunet", "external", "hd95", None),
        ("cmwnet-2", "unet-wavelet", "external", "hd95", 55.5972),
        ("cmwnet-3", "crop", "internal", "dice", 0.8385),
        ("cmwnet-3", "down", "internal", "asd", 18.9267),
        ("ss-maf-ablation", "maf", "IDRiD", "dice", 0.7255),
        ("ss-maf-ablation", "interp", "E-Ophtha", "recall", 0.4035),
        ("mage-6", "rsp", "EyeQ", "psnr", 23.72),
        ("mage-6", "all", "EyeQ", "ssim", 0.9281),
    ],
)
def test_printed_figures(name: str, key: str, data: str, metric: str, value: float | None) -> None:
    assert TABLES[name].row(key).paper[data][metric] == value


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(UsageError, match="--rows x: got no such row of cmwnet-3; expected crop, down, cmwnet,"):
        TABLES["cmwnet-3"].row("x")
