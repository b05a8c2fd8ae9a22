"""One question a file; results under `results/<machine>/`."""
