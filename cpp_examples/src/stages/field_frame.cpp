#include "fundusrt/field_frame.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "fundusrt/error.hpp"
#include "imaging/resize.hpp"

namespace fundusrt {

namespace {

constexpr int64_t kMaxFramePx = int64_t{1} << 28;

// The smallest (height, width) in the ratio of `shape` that holds the field.
std::pair<int64_t, int64_t> widened(int64_t height, int64_t width, const FrameSpec& spec) {
    const int64_t rows = spec.height_px, columns = spec.width_px;
    if (height * columns >= width * rows) return {height, (height * columns + rows - 1) / rows};
    return {(width * rows + columns - 1) / columns, width};
}

template <typename T>
Array<T> nearest(const Array<T>& values, int64_t height, int64_t width) {
    Array<T> made(height, width);
    for (int64_t y = 0; y < height; ++y) {
        const T* from = values.row(nearest_index(y, values.height, height));
        for (int64_t x = 0; x < width; ++x) made.row(y)[x] = from[nearest_index(x, values.width, width)];
    }
    return made;
}

}  // namespace

FieldFrame FieldFrame::around(const FundusImage& eye, const FrameSpec& spec) {
    int64_t top = -1, bottom = 0, left = eye.width(), right = 0;
    for (int64_t y = 0; y < eye.height(); ++y) {
        const uint8_t* row = eye.fov.row(y);
        const uint8_t* end = row + eye.width();
        const uint8_t* first = std::find(row, end, uint8_t{255});
        if (first == end) continue;
        if (top < 0) top = y;
        bottom = y + 1;
        left = std::min<int64_t>(left, first - row);
        int64_t last = eye.width();
        while (row[last - 1] == 0) --last;
        right = std::max(right, last);
    }
    if (top < 0)
        throw_invalid_input("image", "no field of view", "an image of an eye",
                            "pass another image, or its field of view");
    const auto [height, width] = widened(bottom - top, right - left, spec);
    if (height * width > kMaxFramePx)
        throw_invalid_input(
            "image", "a field of view whose frame is " + std::to_string(height) + " x " + std::to_string(width) + " px",
            "a frame of at most 268 megapixels", "crop the image to one eye");
    FieldFrame frame;
    frame.top = top - (height - (bottom - top)) / 2;
    frame.left = left - (width - (right - left)) / 2;
    frame.height = height;
    frame.width = width;
    frame.image_height = eye.height();
    frame.image_width = eye.width();
    frame.spec = spec;
    return frame;
}

FieldFrame::Overlap FieldFrame::overlap() const {
    return {std::max<int64_t>(top, 0), std::max<int64_t>(left, 0), std::min(top + height, image_height),
            std::min(left + width, image_width)};
}

Bytes FieldFrame::native(const Bytes& array) const {
    Bytes made(height, width, array.channels);
    std::fill(made.values.begin(), made.values.end(), uint8_t{0});
    const Overlap part = overlap();
    for (int64_t y = part.y0; y < part.y1; ++y)
        std::copy_n(array.row(y) + part.x0 * array.channels, (part.x1 - part.x0) * array.channels,
                    made.row(y - top) + (part.x0 - left) * array.channels);
    return made;
}

Bytes FieldFrame::cut(const Bytes& pixels, const FundusImage& eye) const {
    Bytes whole = native(pixels);
    const Mask field = native(eye.fov);
    const auto blacken = [](Bytes& image, const Mask& inside) {
        for (int64_t i = 0; i < image.pixels(); ++i)
            for (int c = 0; c < image.channels; ++c) image.data()[i * image.channels + c] &= inside.data()[i];
    };
    if (spec.outside_black) blacken(whole, field);
    Bytes frame = resize(whole, spec.height_px, spec.width_px, height >= spec.height_px ? spec.shrink : spec.enlarge);
    if (spec.outside_black) blacken(frame, nearest(field, spec.height_px, spec.width_px));
    return frame;
}

Map FieldFrame::to_native(const Map& values, Interpolation interpolation) const {
    const Overlap part = overlap();
    Map made(image_height, image_width);
    if (part.y1 - part.y0 != image_height || part.x1 - part.x0 != image_width)
        std::fill(made.values.begin(), made.values.end(), 0.0f);
    // Only the rows that lie in the image.
    Map whole(part.y1 - part.y0, width);
    if (interpolation == Interpolation::kNearest) {
        const Map frame = nearest(values, height, width);
        std::copy_n(frame.row(part.y0 - top), whole.pixels(), whole.data());
    } else if (values.height == height && values.width == width) {
        std::copy_n(values.row(part.y0 - top), whole.pixels(), whole.data());
    } else {
        resize_bilinear_rows(values, whole.data(), height, width, part.y0 - top, part.y1 - top);
    }
    for (int64_t y = part.y0; y < part.y1; ++y)
        std::copy_n(whole.row(y - part.y0) + (part.x0 - left), part.x1 - part.x0, made.row(y) + part.x0);
    return made;
}

}  // namespace fundusrt
