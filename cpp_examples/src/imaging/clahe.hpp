// Contrast-limited adaptive histogram equalisation, equal to OpenCV's; the interpolation is that of the GPU kernels.
#pragma once

#include <array>

#include "fundusrt/array.hpp"
#include "fundusrt/manifest.hpp"

namespace fundusrt {

// gamma[equalised] of a grey image.
Bytes equalised_grey(const Bytes& pixels, const ClaheSpec& spec, const std::array<uint8_t, 256>& gamma);

// The same of an RGB image, on the lightness of CIE Lab.
Bytes equalised_colour(const Bytes& pixels, const ClaheSpec& spec, const std::array<uint8_t, 256>& gamma);

// Tables of the 8-bit conversions between sRGB and Lab; layout in colour.cu.
const std::array<uint16_t, 7936>& lab_tables();

}  // namespace fundusrt
