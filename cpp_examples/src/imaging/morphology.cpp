#include "imaging/morphology.hpp"

#include <algorithm>
#include <vector>

namespace fundusrt {

namespace {

// Extreme over 2 reach + 1 neighbours along one axis, by spans that double: `step` is the distance of neighbours in
// memory. Whole rows or whole images at a time, so that the compiler makes vectors of it.
template <typename Better>
void extremes(std::vector<uint8_t>& from, std::vector<uint8_t>& to, int64_t count, int64_t step, int64_t reach,
              Better better) {
    const int64_t window = 2 * reach + 1;
    int64_t span = 1;
    const auto pass = [&](int64_t shift) {
        const uint8_t *near = from.data(), *far = from.data() + shift * step;
        uint8_t* out = to.data();
        const int64_t stop = count - shift * step;
        for (int64_t i = 0; i < stop; ++i) out[i] = better(near[i], far[i]);
        std::copy(near + stop, near + count, out + stop);
        from.swap(to);
    };
    for (; 2 * span <= window; span *= 2) pass(span);
    if (span < window) pass(window - span);
}

template <typename Better>
Mask extreme(const Mask& mask, int64_t reach, uint8_t neutral, Better better) {
    const int64_t height = mask.height + 2 * reach, width = mask.width + 2 * reach;
    std::vector<uint8_t> padded(static_cast<size_t>(height * width), neutral), other(padded.size());
    for (int64_t y = 0; y < mask.height; ++y)
        std::copy_n(mask.row(y), mask.width, padded.data() + (y + reach) * width + reach);
    // Across, what runs over a row's end is only read beyond the last pixel that is kept.
    extremes(padded, other, height * width, 1, reach, better);
    extremes(padded, other, height * width, width, reach, better);
    Mask made(mask.height, mask.width);
    for (int64_t y = 0; y < mask.height; ++y) std::copy_n(padded.data() + y * width, mask.width, made.row(y));
    return made;
}

}  // namespace

Mask eroded(const Mask& mask, int64_t reach) {
    return extreme(mask, reach, 255, [](uint8_t a, uint8_t b) { return std::min(a, b); });
}

Mask dilated(const Mask& mask, int64_t reach) {
    return extreme(mask, reach, 0, [](uint8_t a, uint8_t b) { return std::max(a, b); });
}

Bytes blurred_3x3(const Bytes& image) {
    const int64_t height = image.height, width = image.width;
    const auto mirrored = [](int64_t i, int64_t n) {
        if (n == 1) return int64_t{0};
        return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    };
    Bytes made(height, width);
    std::vector<int> columns(static_cast<size_t>(width));
    for (int64_t y = 0; y < height; ++y) {
        const uint8_t *above = image.row(mirrored(y - 1, height)), *here = image.row(y),
                      *below = image.row(mirrored(y + 1, height));
        for (int64_t x = 0; x < width; ++x) columns[static_cast<size_t>(x)] = above[x] + here[x] + below[x];
        for (int64_t x = 0; x < width; ++x) {
            const int sum = columns[static_cast<size_t>(mirrored(x - 1, width))] + columns[static_cast<size_t>(x)] +
                            columns[static_cast<size_t>(mirrored(x + 1, width))];
            made.row(y)[x] = static_cast<uint8_t>((sum + 4) / 9);  // a ninth is never half way
        }
    }
    return made;
}

Map distance_to_off(const Mask& mask) {
    constexpr float kSide = 1.0f, kDiagonal = 1.4f, kLong = 2.1969f, kFar = 1e30f;
    const int64_t height = mask.height, width = mask.width, stride = width + 4;
    std::vector<float> room(static_cast<size_t>((height + 4) * stride), kFar);
    const auto at = [&](int64_t y, int64_t x) { return room.data() + (y + 2) * stride + x + 2; };
    // Both passes: the rows behind give a candidate for each pixel at once, then the neighbour behind follows in turn.
    std::vector<float> candidates(static_cast<size_t>(width));
    const auto from_rows = [&](const float* here, int64_t way) {
        const float *one = here + way * stride, *two = here + 2 * way * stride;
        float* best = candidates.data();
        for (int64_t x = 0; x < width; ++x) {
            const float lengthy = std::min(std::min(two[x - 1], two[x + 1]), std::min(one[x - 2], one[x + 2])) + kLong;
            const float oblique = std::min(one[x - 1], one[x + 1]) + kDiagonal;
            best[x] = std::min(std::min(lengthy, oblique), one[x] + kSide);
        }
    };
    for (int64_t y = 0; y < height; ++y) {
        float* here = at(y, 0);
        from_rows(here, -1);
        const uint8_t* on = mask.row(y);
        for (int64_t x = 0; x < width; ++x)
            here[x] = on[x] == 0 ? 0.0f : std::min(candidates[static_cast<size_t>(x)], here[x - 1] + kSide);
    }
    Map made(height, width);
    for (int64_t y = height - 1; y >= 0; --y) {
        float* here = at(y, 0);
        from_rows(here, 1);
        for (int64_t x = width - 1; x >= 0; --x)
            here[x] = std::min(std::min(here[x], candidates[static_cast<size_t>(x)]), here[x + 1] + kSide);
        std::copy_n(here, width, made.row(y));
    }
    return made;
}

}  // namespace fundusrt
