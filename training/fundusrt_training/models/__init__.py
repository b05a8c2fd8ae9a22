"""Network definitions, one a file; each reads like its paper's figure."""
