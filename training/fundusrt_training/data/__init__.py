"""Data sets: folders on disk, cached working images, tiles; the angiogram generator."""
