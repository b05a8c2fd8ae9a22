"""Named tables of the three papers: which runs make them, and the figures the papers print."""
