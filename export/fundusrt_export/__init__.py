"""Export side of FundusRT: exact rewrites, ONNX, the parity ladder, and certified bundles.

    systems/         one system's export a file: what packaging asks of it
    rewrite/         module rewrites, each exact: wavelets, normalisations, resizes
    onnx_trace.py    a deployed module to one self-contained ONNX file
    onnx_checks.py   what such a file must and must not hold
    precision/       fp16, bf16 and int8 files that keep their limit
    parity/          the ladder: measured agreement from PyTorch to the final answer, and its certificate
    package.py       checkpoint to certified bundle
    engines/         TensorRT engines of a bundle
    cli.py           `fundusrt export`

Nothing here runs on a device, `engines/` excepted: a deployed program needs `fundusrt` alone.
"""
