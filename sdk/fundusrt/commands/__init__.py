"""One command a file; `fundusrt.cli` assembles them."""
