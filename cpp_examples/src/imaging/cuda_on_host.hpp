// The part of CUDA C++ that the shared device functions and the kernels without barriers need, for an ordinary
// compiler: the CPU computes with the GPU's own sources (sdk/fundusrt/kernels). Include it before them, in a .cpp file
// only.
#pragma once

#include <cmath>
#include <cstdint>

#define __global__
#define __device__
#define __launch_bounds__(...)

namespace {

struct uint3 {
    unsigned x, y, z;
};

thread_local uint3 threadIdx = {0, 0, 0}, blockIdx = {0, 0, 0}, blockDim = {1, 1, 1}, gridDim = {1, 1, 1};

}  // namespace
