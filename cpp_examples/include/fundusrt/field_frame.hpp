// The frame around the field of view: cut out, resized for a network, and maps of it brought back.
// Reference: fundusrt/field_frame.py.
#pragma once

#include "fundusrt/array.hpp"
#include "fundusrt/image.hpp"
#include "fundusrt/manifest.hpp"

namespace fundusrt {

// A rectangle in an image, which it may leave, and the size it is resized to.
struct FieldFrame {
    int64_t top = 0, left = 0, height = 0, width = 0;
    int64_t image_height = 0, image_width = 0;
    FrameSpec spec;

    // The smallest frame of the specified shape around the field of view, centred on it. Throws Error(kInvalidInput):
    // no field of view, or one too long and narrow.
    static FieldFrame around(const FundusImage& eye, const FrameSpec& spec);

    // The (height_px, width_px[, 3]) frame as the network sees it.
    Bytes cut(const Bytes& pixels, const FundusImage& eye) const;

    // A map of the frame, of any size, as (H, W) of the image; 0 outside the frame. kBilinear or kNearest.
    Map to_native(const Map& values, Interpolation interpolation = Interpolation::kBilinear) const;

  private:
    struct Overlap {
        int64_t y0, x0, y1, x1;  // in the image
    };
    Overlap overlap() const;
    Bytes native(const Bytes& array) const;
};

}  // namespace fundusrt
