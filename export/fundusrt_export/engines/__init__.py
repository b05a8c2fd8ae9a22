"""TensorRT engines: one builder for TensorRT 10, 11 and TensorRT-RTX.

    onnx_parsing.py     ONNX bytes to a strongly typed network, checked against the manifest
    build_config.py     options, batch profile and targets, each refused by name where the package lacks it
    timing_cache.py     kernel timings kept between builds
    build_progress.py   progress and cancelling
    build_report.py     layers, generated kernels, memory: what can be known without a GPU
    inspection.py       the inspector's report as records, from the JSON of TensorRT 10 and of 11
    inspector.py        that report of a plan, where this machine can load it
    inspection_files.py that report as files
    builder.py          ONNX bytes to a plan
    gpu_targets.py      which GPUs plans are built for
    bundle_build.py     every network of a bundle, through the engine cache
    cli.py              `fundusrt build`

Needs the SDK and TensorRT alone, no PyTorch and no onnx: a device may build its own engines.
"""
