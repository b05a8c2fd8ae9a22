#include "fundusrt/preprocess.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "fundusrt/tiling.hpp"
#include "imaging/clahe.hpp"
#include "imaging/resize.hpp"

namespace fundusrt {

namespace {

bool has_equal_channels(const Bytes& pixels) {
    for (int64_t i = 0; i < pixels.pixels(); ++i) {
        const uint8_t* p = pixels.data() + 3 * i;
        if (p[0] != p[1] || p[1] != p[2]) return false;
    }
    return true;
}

Bytes green_channel(const Bytes& pixels) {
    Bytes made(pixels.height, pixels.width);
    for (int64_t i = 0; i < pixels.pixels(); ++i) made.data()[i] = pixels.data()[3 * i + 1];
    return made;
}

// ITU-R BT.601 luma as OpenCV rounds it, in units of 2^-15.
uint8_t luma(const uint8_t* rgb) {
    return static_cast<uint8_t>((9798 * rgb[0] + 19235 * rgb[1] + 3735 * rgb[2] + (1 << 14)) >> 15);
}

}  // namespace

Bytes to_8_bit(const FundusImage& image) {
    if (const auto* bytes = std::get_if<Bytes>(&image.pixels)) return *bytes;
    const Words& words = std::get<Words>(image.pixels);
    Bytes made(words.height, words.width, words.channels);
    std::transform(words.values.begin(), words.values.end(), made.values.begin(),
                   [](uint16_t value) { return static_cast<uint8_t>((value + 128u) / 257u); });
    return made;
}

Bytes enhance(const FundusImage& image, const PreprocessSpec& spec) {
    Bytes pixels = to_8_bit(image);
    if (pixels.channels == 3 && has_equal_channels(pixels)) pixels = green_channel(pixels);
    const auto gamma = gamma_table(spec.gamma);
    if (spec.clahe) {
        pixels = pixels.channels == 1 ? equalised_grey(pixels, *spec.clahe, gamma)
                                      : equalised_colour(pixels, *spec.clahe, gamma);
    } else {
        for (uint8_t& value : pixels.values) value = gamma[value];
    }
    if (image.whole) return pixels;
    for (int64_t i = 0; i < pixels.pixels(); ++i)
        for (int c = 0; c < pixels.channels; ++c) pixels.data()[i * pixels.channels + c] &= image.fov.data()[i];
    return pixels;
}

Bytes fit_to_grid(const Bytes& pixels, const TileSpec& spec) {
    const auto [height, width] = grid_size(pixels.height, pixels.width, spec.size, spec.round);
    if (height == pixels.height && width == pixels.width) return pixels;
    const size_t channels = static_cast<size_t>(pixels.channels);
    std::vector<size_t> columns;
    for (int64_t x = 0; x < width; ++x)
        columns.push_back(static_cast<size_t>(nearest_index(x, pixels.width, width)) * channels);
    Bytes made(height, width, pixels.channels);
    int64_t before = -1;
    for (int64_t y = 0; y < height; ++y) {
        const int64_t source = nearest_index(y, pixels.height, height);
        const uint8_t* from = pixels.row(source);
        uint8_t* to = made.row(y);
        if (source == before) {
            std::memcpy(to, made.row(y - 1), columns.size() * channels);
            continue;
        }
        before = source;
        if (channels == 1) {
            for (size_t x = 0; x < columns.size(); ++x) to[x] = from[columns[x]];
            continue;
        }
        for (size_t x = 0; x < columns.size(); ++x) std::memcpy(to + 3 * x, from + columns[x], 3);
    }
    return made;
}

Bytes shrink_whole(const Bytes& pixels, const WholeImageSpec& spec) {
    return resize(pixels, spec.size, spec.size, spec.interpolation);
}

std::array<uint8_t, 256> gamma_table(double gamma) {
    std::array<uint8_t, 256> table{};
    for (size_t i = 0; i < 256; ++i)
        table[i] =
            static_cast<uint8_t>(std::floor(255.0 * std::pow(static_cast<double>(i) / 255.0, 1.0 / gamma) + 0.5));
    return table;
}

Tensors::Tensors(const PreprocessSpec& spec) : channels_(spec.channels) {
    const bool plain = std::all_of(spec.mean.begin(), spec.mean.end(), [](double value) { return value == 0.0; }) &&
                       std::all_of(spec.std.begin(), spec.std.end(), [](double value) { return value == 1.0; });
    for (size_t c = 0; c < 3; ++c)
        for (size_t i = 0; i < 256; ++i) {
            float value = static_cast<float>(i) * static_cast<float>(1.0 / 255.0);
            if (!plain) value = (value - static_cast<float>(spec.mean[c])) / static_cast<float>(spec.std[c]);
            tables_[c][i] = value;
        }
}

void Tensors::write(const Bytes& pixels, int64_t y, int64_t x, int64_t height, int64_t width, float* to) const {
    const int64_t plane = height * width;
    for (int64_t row = 0; row < height; ++row) {
        const uint8_t* from = pixels.row(y + row) + x * pixels.channels;
        float* line = to + row * width;
        for (int c = 0; c < channels_; ++c) {
            const auto& table = tables_[static_cast<size_t>(c)];
            float* out = line + c * plane;
            if (pixels.channels == 1) {
                for (int64_t i = 0; i < width; ++i) out[i] = table[from[i]];
            } else if (channels_ == 1) {
                for (int64_t i = 0; i < width; ++i) out[i] = table[luma(from + 3 * i)];
            } else {
                for (int64_t i = 0; i < width; ++i) out[i] = table[from[3 * i + c]];
            }
        }
    }
}

}  // namespace fundusrt
