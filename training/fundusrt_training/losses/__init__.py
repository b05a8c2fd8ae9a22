"""Loss functions, one concept a file."""
