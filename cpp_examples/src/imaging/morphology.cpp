#include "imaging/morphology.hpp"

#include <algorithm>
#include <vector>

namespace fundusrt {

namespace {

// Running extreme over 2 reach + 1 values of one line (van Herk, Gil-Werman); `neutral` lies outside the line.
template <typename Better>
void extreme_line(const uint8_t* from, uint8_t* to, int64_t count, int64_t stride, int64_t reach, uint8_t neutral,
                  std::vector<uint8_t>& forward, std::vector<uint8_t>& backward, Better better) {
    const int64_t window = 2 * reach + 1, padded = count + 2 * reach;
    forward.resize(static_cast<size_t>(padded));
    backward.resize(static_cast<size_t>(padded));
    const auto value = [&](int64_t i) {
        const int64_t at = i - reach;
        return at < 0 || at >= count ? neutral : from[at * stride];
    };
    for (int64_t i = 0; i < padded; ++i) {
        const size_t at = static_cast<size_t>(i);
        forward[at] = i % window == 0 ? value(i) : better(forward[at - 1], value(i));
    }
    for (int64_t i = padded - 1; i >= 0; --i) {
        const size_t at = static_cast<size_t>(i);
        backward[at] = i == padded - 1 || (i + 1) % window == 0 ? value(i) : better(backward[at + 1], value(i));
    }
    for (int64_t i = 0; i < count; ++i)
        to[i * stride] = better(backward[static_cast<size_t>(i)], forward[static_cast<size_t>(i + window - 1)]);
}

template <typename Better>
Mask extreme(const Mask& mask, int64_t reach, uint8_t neutral, Better better) {
    Mask across(mask.height, mask.width), made(mask.height, mask.width);
    std::vector<uint8_t> forward, backward;
    for (int64_t y = 0; y < mask.height; ++y)
        extreme_line(mask.row(y), across.row(y), mask.width, 1, reach, neutral, forward, backward, better);
    for (int64_t x = 0; x < mask.width; ++x)
        extreme_line(across.data() + x, made.data() + x, mask.height, mask.width, reach, neutral, forward, backward,
                     better);
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
    const auto nearest = [&](const float* here, int64_t way) {
        const int64_t line = way * stride;
        float best = here[2 * line - 1] + kLong;
        best = std::min(best, here[2 * line + 1] + kLong);
        best = std::min(best, here[line - 2] + kLong);
        best = std::min(best, here[line - 1] + kDiagonal);
        best = std::min(best, here[line] + kSide);
        best = std::min(best, here[line + 1] + kDiagonal);
        best = std::min(best, here[line + 2] + kLong);
        return std::min(best, here[way] + kSide);
    };
    for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) *at(y, x) = mask.row(y)[x] == 0 ? 0.0f : nearest(at(y, x), -1);
    Map made(height, width);
    for (int64_t y = height - 1; y >= 0; --y)
        for (int64_t x = width - 1; x >= 0; --x) {
            float* here = at(y, x);
            if (*here > 0) *here = std::min(*here, nearest(here, 1));
            made.row(y)[x] = *here;
        }
    return made;
}

}  // namespace fundusrt
