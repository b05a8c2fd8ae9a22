// Small arithmetic that every kernel needs. All rounding is the reference's (NumPy, OpenCV): where the reference rounds
// after each operation so does the code, which is why everything here is compiled with -fmad=false; where it fuses a
// multiplication and an addition, the code says fmaf.
#pragma once

#include <cstdint>

namespace frt {

__device__ inline int64_t thread_index() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

__device__ inline int64_t thread_count() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

template <typename T>
__device__ inline T smaller(T a, T b) {
    return a < b ? a : b;
}

template <typename T>
__device__ inline T larger(T a, T b) {
    return a > b ? a : b;
}

__device__ inline uint8_t clamp_to_byte(int value) {
    return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

// To the nearest whole number, a half to the even one, then into 0..255: OpenCV's saturate_cast<uchar>(float).
__device__ inline uint8_t round_to_byte(float value) { return clamp_to_byte(static_cast<int>(rintf(value))); }

// The field of view is one bit a pixel, least significant first, each row starting on a new byte; a null pointer means
// that every pixel is inside.
__device__ inline bool in_field(const uint8_t* field, int64_t width, int64_t y, int64_t x) {
    if (field == nullptr) return true;
    return (field[y * ((width + 7) / 8) + (x >> 3)] >> (x & 7)) & 1;
}

}  // namespace frt
