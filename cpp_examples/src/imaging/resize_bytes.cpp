#include <algorithm>
#include <cmath>
#include <cstring>

#include "imaging/resize.hpp"
#include "imaging/shared_kernels.hpp"

namespace fundusrt {

namespace {

// Four source pixels and their weights, of Keys' cubic with a = -0.75: place exact, fraction and weights rounded to
// float32 once.
struct Cubic {
    int64_t at[4];
    float weight[4];
};

Cubic cubic_place(int64_t i, int64_t source, int64_t target) {
    const double place = static_cast<double>((2 * i + 1) * source - target) / static_cast<double>(2 * target);
    const double low = std::floor(place);
    const double x = static_cast<float>(place - low), a = -0.75, y = 1 - x;
    const double first = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
    const double second = ((a + 2) * x - (a + 3)) * x * x + 1, third = ((a + 2) * y - (a + 3)) * y * y + 1;
    Cubic made{};
    for (int64_t k = 0; k < 4; ++k) made.at[k] = std::clamp<int64_t>(static_cast<int64_t>(low) - 1 + k, 0, source - 1);
    made.weight[0] = static_cast<float>(first);
    made.weight[1] = static_cast<float>(second);
    made.weight[2] = static_cast<float>(third);
    made.weight[3] = static_cast<float>(1. - first - second - third);
    return made;
}

float cubic_sum(const Cubic& c, float p, float q, float r, float s) {
    return ((c.weight[0] * p + c.weight[1] * q) + c.weight[2] * r) + c.weight[3] * s;
}

Bytes resize_cubic(const Bytes& image, int64_t height, int64_t width) {
    const int channels = image.channels;
    Map lines(image.height, width, channels);
    for (int64_t x = 0; x < width; ++x) {
        const Cubic place = cubic_place(x, image.width, width);
        for (int64_t y = 0; y < image.height; ++y) {
            const uint8_t* row = image.row(y);
            for (int c = 0; c < channels; ++c)
                lines.row(y)[x * channels + c] =
                    cubic_sum(place, row[place.at[0] * channels + c], row[place.at[1] * channels + c],
                              row[place.at[2] * channels + c], row[place.at[3] * channels + c]);
        }
    }
    Bytes made(height, width, channels);
    for (int64_t y = 0; y < height; ++y) {
        const Cubic place = cubic_place(y, image.height, height);
        const float* rows[4] = {lines.row(place.at[0]), lines.row(place.at[1]), lines.row(place.at[2]),
                                lines.row(place.at[3])};
        for (int64_t x = 0; x < width * channels; ++x) {
            const float sum = cubic_sum(place, rows[0][x], rows[1][x], rows[2][x], rows[3][x]);
            made.row(y)[x] = static_cast<uint8_t>(std::clamp(std::rint(sum), 0.0f, 255.0f));
        }
    }
    return made;
}

template <typename T>
T half_up_quarter(uint32_t sum) {
    return static_cast<T>((sum + 2) / 4);
}

// OpenCV's order: sums of four whole numbers added to a float32 of the rest; a half is rounded up for 2 x 2 squares, to
// the even number for all others.
template <typename T>
Array<T> mean_of_squares(const Array<T>& image, int64_t factor) {
    const int channels = image.channels;
    Array<T> made(image.height / factor, image.width / factor, channels);
    const float scale = 1.0f / static_cast<float>(factor * factor);
    const float top = static_cast<float>(static_cast<T>(-1));
    Values<T> square(static_cast<size_t>(factor * factor));
    for (int64_t y = 0; y < made.height; ++y)
        for (int64_t x = 0; x < made.width; ++x)
            for (int c = 0; c < channels; ++c) {
                size_t count = 0;
                for (int64_t j = 0; j < factor; ++j)
                    for (int64_t i = 0; i < factor; ++i)
                        square[count++] = image.row(y * factor + j)[(x * factor + i) * channels + c];
                T& to = made.row(y)[x * channels + c];
                if (factor == 2) {
                    to = half_up_quarter<T>(uint32_t{square[0]} + square[1] + square[2] + square[3]);
                    continue;
                }
                float sum = 0;
                size_t k = 0;
                for (; k + 4 <= count; k += 4)
                    sum += static_cast<float>(int{square[k]} + square[k + 1] + square[k + 2] + square[k + 3]);
                for (; k < count; ++k) sum += static_cast<float>(square[k]);
                to = static_cast<T>(std::clamp(std::rint(sum * scale), 0.0f, top));
            }
    return made;
}

}  // namespace

int64_t nearest_index(int64_t i, int64_t source, int64_t target) {
    return (2 * i + 1) * source / (2 * target);
}

Bytes resize(const Bytes& image, int64_t height, int64_t width, Interpolation interpolation) {
    if (image.height == height && image.width == width) return image;
    if (interpolation == Interpolation::kCubic) return resize_cubic(image, height, width);
    Bytes made(height, width, image.channels);
    const bool by_area = interpolation == Interpolation::kArea;
    if (!by_area || image.height < height || image.width < width)
        resize_linear(image.data(), made.data(), image.height, image.width, image.channels, height, width, by_area);
    else if (image.height % height != 0 || image.width % width != 0)
        shrink_area(image.data(), made.data(), image.height, image.width, image.channels, height, width);
    else
        shrink_blocks(image.data(), made.data(), image.height, image.width, image.channels, height, width);
    return made;
}

Bytes averaged(const Bytes& image, int64_t factor) {
    return factor == 1 ? image : mean_of_squares(image, factor);
}
Words averaged(const Words& image, int64_t factor) {
    return factor == 1 ? image : mean_of_squares(image, factor);
}

}  // namespace fundusrt
