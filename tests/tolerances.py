"""Tolerances that tests share, each with its reason. Append yours; a test that needs another figure says why there."""

from __future__ import annotations

# One float32 rounding of a value in [0, 1].
FLOAT32_ULP_AT_1 = 2.0**-24

# `to_tensor` multiplies by float32(1/255) instead of dividing: the constant and the product are each rounded once.
TO_TENSOR = 2.0**-23

# Two float32 evaluations of the same sigmoid, |slope| <= 40: the score's rounding (2**-24 * 40) times the largest slope
# of the sigmoid (1/4), twice, rounded up to a power of two.
SIGMOID_FLOAT32 = 2.0**-19

# Probabilities in a 16-bit PNG: half a step.
PROBABILITY_PNG = 0.5 / 65535 + FLOAT32_ULP_AT_1

# OpenCV may round a half either way from build to build: one grey level.
GREY_LEVEL = 1

# Sums of float32 probabilities over a lesion are taken in float64: n roundings of 2**-53, far below this for any image.
MEAN_PROBABILITY = 1e-9

# Float64 evaluations of a whole network in two algebraically equal forms: some 50 layers of at most 1e4 roundings of
# 2**-53 on values of order 1 to 100 (GroupNorm divides by small spreads), rounded up.
NETWORK_FORMS_FLOAT64 = 1e-9

# One wavelet step in float64 in two forms: about ten roundings of 2**-53 on values below 16.
WAVELET_STEP_FLOAT64 = 1e-13

# Loss of float32 maps against plain Python in float64: n = 1e3..1e4 terms summed in float32, relative error below
# n * 2**-24 / 10.
LOSS_FLOAT32 = 1e-5

# A rewritten wavelet transform against pytorch_wavelets and PyWavelets, relative to max(1, largest value): L^2 <= 102^2
# products a level, up to three levels, in another order of summation: 1e4 * 2**-53 = 1e-12; in float32 errors add up
# like sqrt(1e4) * 2**-24.
WAVELET_REWRITE_FLOAT64 = 1e-12
WAVELET_REWRITE_FLOAT32 = 1e-5

# The guided filter in float64 against loops: differences of means of at most 49 values of order 10, divided by at least
# eps = 0.01 and once by means of the attention; relative to the largest output.
GUIDED_FILTER_FLOAT64 = 1e-9

# MAGE-Net's answer (values of order 1) from PyTorch and from ONNX Runtime, float32: some hundred convolutions, summed
# in another order. Largest difference found on the default widths at 256 px (photograph, flat disc, noise): 1.5e-6;
# room for other processors.
ENHANCED_FLOAT32 = 1e-5

# The attention guided filter in float32 against float64, relative to the largest output: window means are direct sums
# of 25 values, and a small attention scales numerator and denominator alike. Largest found, with attention from 1e-31
# to 1 and inputs of order 1 and 30: 2.1e-7.
GUIDED_FILTER_FLOAT32 = 2.0**-20
