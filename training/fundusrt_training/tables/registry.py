"""The tables by name."""

from __future__ import annotations

from fundusrt_training.tables.cmwnet import CMWNET_TABLES
from fundusrt_training.tables.mage_net import MAGE_NET_TABLES
from fundusrt_training.tables.paper_table import PaperTable
from fundusrt_training.tables.ss_maf import SS_MAF_TABLES

__all__ = ["TABLES"]

TABLES: dict[str, PaperTable] = {table.name: table for table in (*CMWNET_TABLES, *SS_MAF_TABLES, *MAGE_NET_TABLES)}
