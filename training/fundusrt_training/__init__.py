"""FundusRT training: networks, losses, data, systems and the trainer (needs the `train` extra)."""
