"""The GPU's side of the pipelines, through PyCUDA; the stages have the names of the CPU's modules.

    driver.py     the primary context of a GPU: the only file that imports pycuda
    transfers.py  bytes that went up and down
    arrays.py     device arrays by address, shape and type
    kernels.py    the prebuilt kernels of `fundusrt.kernels`, launched by typed arguments
    graph.py      work of a stream, captured once and launched as a whole
    lane.py       what one image uses at a time: a stream, memory, its bound networks; a bounded pool of them
    network.py    what a GPU backend gives: a network that is bound to a lane
    loading.py    from a bundle to its networks on a GPU
    runtime.py    one GPU, its kernels, its networks and the pool of lanes
    timing.py     times of the stages on the device
    stages.py     enhance, shrink_whole, tiles, fuse: the stages of CMWNet on the device
    segmentation.py  CMWNet with all of them on the device

Nothing here is imported unless `device="cuda"` is asked for.
"""
