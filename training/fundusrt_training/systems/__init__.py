"""Training systems: what is optimised and how, one a file."""
