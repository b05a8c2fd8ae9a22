#include "fundusrt/image.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "fundusrt/error.hpp"
#include "fundusrt/field_of_view.hpp"

namespace fundusrt {

namespace {

template <typename T>
Array<T> copied(const ImageView& view) {
    Array<T> made(view.height, view.width, view.channels);
    const size_t line = static_cast<size_t>(view.width * view.channels) * sizeof(T);
    const ptrdiff_t stride = view.stride_bytes == 0 ? static_cast<ptrdiff_t>(line) : view.stride_bytes;
    const auto* from = static_cast<const char*>(view.data);
    for (int64_t y = 0; y < view.height; ++y) std::memcpy(made.row(y), from + y * stride, line);
    return made;
}

void check(const ImageView& view) {
    const std::string size = std::to_string(view.height) + " x " + std::to_string(view.width) + " px";
    if (view.data == nullptr) throw_invalid_input("image", "no pixels", "a pointer to pixels", "pass the image");
    if (view.channels != 1 && view.channels != 3)
        throw_invalid_input("image", std::to_string(view.channels) + " channels", "1 (grey) or 3 (RGB)",
                            "drop the alpha channel, convert the colour order");
    if (view.bits != 8 && view.bits != 16)
        throw_invalid_input("image", std::to_string(view.bits) + " bits a sample", "8 or 16",
                            "convert it; its scale is never guessed");
    if (view.height < kMinSidePx || view.width < kMinSidePx)
        throw_invalid_input("image", size, "at least 32 px on each side", "pass the full-size image");
    if (view.height > kMaxPixels / view.width)
        throw_invalid_input("image", size, "at most " + std::to_string(kMaxPixels) + " px", "crop or reduce it");
    if (!(view.mm_per_px >= 0 && view.mm_per_px < 1e6))
        throw_invalid_input("mm_per_px", std::to_string(view.mm_per_px), "a positive number of millimetres per pixel",
                            "pass 0 where the scale is unknown");
    const int64_t line = view.width * view.channels * (view.bits / 8);
    if (view.stride_bytes != 0 && std::abs(static_cast<int64_t>(view.stride_bytes)) < line)
        throw_invalid_input("image", "rows " + std::to_string(view.stride_bytes) + " bytes apart",
                            "at least " + std::to_string(line), "0 means rows without gaps");
}

}  // namespace

int FundusImage::channels() const {
    return std::visit([](const auto& array) { return array.channels; }, pixels);
}

FundusImage from_view(const ImageView& view) {
    check(view);
    FundusImage made;
    made.mm_per_px = view.mm_per_px;
    if (view.bits == 8)
        made.pixels = copied<uint8_t>(view);
    else
        made.pixels = copied<uint16_t>(view);
    if (view.field == nullptr) {
        made.fov = std::visit([](const auto& array) { return find_field_of_view(array); }, made.pixels);
    } else {
        made.fov = Mask(view.height, view.width);
        std::transform(view.field, view.field + made.fov.values.size(), made.fov.data(),
                       [](uint8_t inside) { return inside != 0 ? uint8_t{255} : uint8_t{0}; });
    }
    made.fov_px = std::count(made.fov.values.begin(), made.fov.values.end(), uint8_t{255});
    made.whole = made.fov_px == made.fov.pixels();
    return made;
}

}  // namespace fundusrt
