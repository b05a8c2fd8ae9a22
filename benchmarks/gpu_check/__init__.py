"""Everything that needs a GPU, in one command without network: `make gpu-check`.

__main__.py        the order of the sections, and what is installed first
packages.py        what is missing, from a folder: wheels, or PyCUDA's source archive
report.py          sections, each on its own; JSON after each, Markdown at the end
networks.py        which runtime runs the networks here, and why not a better one
torch_network.py   the last resort: the bundle's ONNX file in PyTorch
background.py      tests and compute-sanitizer, beside what is not timed
sanitized.py       the stages on small images, for compute-sanitizer
masks.py           masks and tensors beside the CPU's
speed.py           copy bandwidth, each kernel against it, an image end to end
stress.py          many threads, one set of hashes
rehearsal.py       the same on a GPU that is none, to try the check itself
"""
