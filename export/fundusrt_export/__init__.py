"""Export side of FundusRT: exact rewrites, ONNX, the parity ladder, and certified bundles.

    rewrite/         module rewrites: pytorch_wavelets to fixed convolutions, Haar pairs to the identity form
    onnx_export.py   one branch to one self-contained ONNX file
    onnx_checks.py   what such a file must and must not hold
    parity/          the ladder: measured agreement from PyTorch to the final mask, and its certificate
    package.py       checkpoint to certified bundle
    cli.py           `fundusrt export`

Nothing here runs on a device: a deployed program needs `fundusrt` alone.
"""
