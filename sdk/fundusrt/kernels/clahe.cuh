// The interpolation of CLAHE: the four equalising tables around a pixel, weighted by its place between their tiles.
// Facts of OpenCV's implementation that decide the last bit: the pixel's place is float32, x * (1 / tile width) - 0.5
// with two roundings; the sum is (a * u' + b * u) * v' + (c * u' + d * u) * v, rounded after every operation.
#pragma once

#include "pixel.cuh"

namespace frt {

// One axis: which two tiles, and how much of the second.
struct TilePair {
    int32_t low, high;
    float weight_low, weight_high;
};

__device__ inline TilePair tile_pair(int64_t position, float inverse_tile, int32_t tiles) {
    const float place = static_cast<float>(position) * inverse_tile - 0.5f;
    const float below = floorf(place);
    TilePair pair;
    pair.weight_high = place - below;
    pair.weight_low = 1.0f - pair.weight_high;
    pair.low = larger(static_cast<int32_t>(below), 0);
    pair.high = smaller(static_cast<int32_t>(below) + 1, tiles - 1);
    return pair;
}

// luts: (grid, grid, 256) bytes, tiles in reading order.
__device__ inline uint8_t equalised(uint8_t value, const uint8_t* luts, int32_t grid, TilePair row, TilePair column) {
    const uint8_t* upper = luts + (static_cast<int64_t>(row.low) * grid) * 256 + value;
    const uint8_t* lower = luts + (static_cast<int64_t>(row.high) * grid) * 256 + value;
    const float a = static_cast<float>(upper[column.low * 256]), b = static_cast<float>(upper[column.high * 256]);
    const float c = static_cast<float>(lower[column.low * 256]), d = static_cast<float>(lower[column.high * 256]);
    const float top = a * column.weight_low + b * column.weight_high;
    const float bottom = c * column.weight_low + d * column.weight_high;
    return round_to_byte(top * row.weight_low + bottom * row.weight_high);
}

}  // namespace frt
