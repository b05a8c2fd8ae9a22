// OpenCV's resizing, bit for bit, as the wheels for x86-64 do it (with Intel's primitives; docs/decisions/0009).
#pragma once

#include "fundusrt/array.hpp"
#include "fundusrt/manifest.hpp"

namespace fundusrt {

// 8-bit images, any number of channels 1 or 3: kArea, kBilinear, kCubic.
Bytes resize(const Bytes& image, int64_t height, int64_t width, Interpolation interpolation);

// Target pixel i takes source pixel floor((2 i + 1) n / (2 m)).
int64_t nearest_index(int64_t i, int64_t source, int64_t target);

// Bilinear at pixel centres; map has one channel.
Map resize_bilinear(const Map& map, int64_t height, int64_t width);
// The same into memory for height x width values.
void resize_bilinear(const Map& map, float* into, int64_t height, int64_t width);
// Only rows [first, last) of the target.
void resize_bilinear_rows(const Map& map, float* into, int64_t height, int64_t width, int64_t first, int64_t last);

// Means of factor x factor squares; what is left over at the end is cut.
Bytes averaged(const Bytes& image, int64_t factor);
Words averaged(const Words& image, int64_t factor);

}  // namespace fundusrt
