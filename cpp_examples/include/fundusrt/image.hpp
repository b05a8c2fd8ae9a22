// The door of the library: a caller's pixels become a checked image with its field of view.
#pragma once

#include <cstddef>
#include <string>
#include <variant>

#include "fundusrt/array.hpp"

namespace fundusrt {

// Pixels that belong to the caller: grey or RGB, 8 or 16 bit, full range of their type, rows `stride_bytes` apart.
struct ImageView {
    const void* data = nullptr;
    int64_t height = 0;
    int64_t width = 0;
    int channels = 1;                // 1 grey, 3 RGB
    int bits = 8;                    // 8, or 16 in the machine's byte order
    ptrdiff_t stride_bytes = 0;      // 0: rows without gaps; negative: the last row comes first in memory
    const uint8_t* field = nullptr;  // (height, width) without gaps, not 0 inside the field of view; null: it is found
    double mm_per_px = 0.0;          // 0: unknown

    // Pixels as `read_png` returns them; they must outlive the view.
    static ImageView of(const std::variant<Bytes, Words>& pixels) {
        ImageView view;
        std::visit(
            [&view](const auto& array) {
                view.data = array.data();
                view.height = array.height;
                view.width = array.width;
                view.channels = array.channels;
                view.bits = static_cast<int>(8 * sizeof(array.values[0]));
            },
            pixels);
        return view;
    }
};

struct FundusImage {
    std::variant<Bytes, Words> pixels;
    Mask fov;  // 255 inside the field of view
    int64_t fov_px = 0;
    bool whole = false;      // every pixel is inside
    double mm_per_px = 0.0;  // 0: unknown

    int64_t height() const { return fov.height; }
    int64_t width() const { return fov.width; }
    int channels() const;
    int bits() const { return std::holds_alternative<Words>(pixels) ? 16 : 8; }
};

// Images with a shorter side than this are refused.
constexpr int64_t kMinSidePx = 32;
// Images with more pixels than this are refused.
constexpr int64_t kMaxPixels = int64_t{1} << 31;

// Copies the pixels; finds the field of view unless one is given. Throws Error(kInvalidInput).
FundusImage from_view(const ImageView& view);

}  // namespace fundusrt
