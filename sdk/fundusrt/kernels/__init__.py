"""The CUDA kernels: sources, the fat binary built from them, and their launches as data. See README.md here."""
