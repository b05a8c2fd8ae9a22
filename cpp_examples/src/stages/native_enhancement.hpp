// An enhanced frame to an enhanced image at the image's own size. Reference: fundusrt/native_enhancement.py.
#pragma once

#include "fundusrt/field_frame.hpp"

namespace fundusrt {

// (H, W, 3) RGB of an image; grey is repeated.
Bytes rgb_8_bit(const FundusImage& eye);

// enhanced: (3, h, w) float32 as three maps below each other; seen: the frame as the network saw it. residual: the
// change is added to the image; otherwise the answer itself is resized. Outside the field of view the image stays.
Bytes native_enhancement(const FundusImage& eye, const FieldFrame& frame, const Bytes& seen,
                         const Values<float>& enhanced, bool residual);

}  // namespace fundusrt
