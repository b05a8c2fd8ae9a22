#include "imaging/clahe.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "imaging/shared_kernels.hpp"

#include "imaging/cuda_on_host.hpp"

#include "clahe.cuh"

namespace fundusrt {

namespace {

struct Tiles {
    int64_t height, width;
    int grid;
};

// Where one side does not divide, OpenCV extends both.
Tiles tiles_of(int64_t height, int64_t width, int grid) {
    if (height % grid == 0 && width % grid == 0) return {height / grid, width / grid, grid};
    return {height / grid + 1, width / grid + 1, grid};
}

int64_t mirrored(int64_t i, int64_t n) {
    if (n == 1) return 0;
    while (i < 0 || i >= n) i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
}

// Histogram of a tile, clipped, what was cut off spread evenly, summed up and scaled to a byte: a table of 256.
void equalising_table(const uint8_t* src, int64_t stride, int64_t height, int64_t width, const Tiles& tiles,
                      int64_t top, int64_t left, int32_t limit, uint8_t* table) {
    // Four counters a value: equal neighbours do not wait for each other.
    std::array<std::array<int32_t, 256>, 4> counts{};
    for (int64_t y = top; y < top + tiles.height; ++y) {
        const uint8_t* line = src + mirrored(y, height) * width * stride;
        const int64_t inside = std::min(left + tiles.width, width);
        int64_t x = left;
        for (; x + 4 <= inside; x += 4) {
            ++counts[0][line[x * stride]];
            ++counts[1][line[(x + 1) * stride]];
            ++counts[2][line[(x + 2) * stride]];
            ++counts[3][line[(x + 3) * stride]];
        }
        for (; x < left + tiles.width; ++x) ++counts[0][line[mirrored(x, width) * stride]];
    }
    std::array<int32_t, 256> histogram{};
    int32_t clipped = 0;
    for (size_t i = 0; i < 256; ++i) {
        const int32_t count = counts[0][i] + counts[1][i] + counts[2][i] + counts[3][i];
        clipped += std::max(count - limit, 0);
        histogram[i] = std::min(count, limit);
    }
    for (int32_t& count : histogram) count += clipped / 256;
    // The remainder goes to every step-th value, one each, from the first on.
    int32_t rest = clipped % 256;
    const size_t step = static_cast<size_t>(std::max(256 / std::max(rest, 1), 1));
    for (size_t i = 0; i < 256 && rest > 0; i += step, --rest) ++histogram[i];
    const float scale = 255.0f / static_cast<float>(tiles.height * tiles.width);
    int32_t sum = 0;
    for (size_t i = 0; i < 256; ++i) {
        sum += histogram[i];
        table[i] = frt::round_to_byte(static_cast<float>(sum) * scale);
    }
}

std::vector<uint8_t> equalising_tables(const uint8_t* src, int64_t stride, int64_t height, int64_t width,
                                       const Tiles& tiles, double clip) {
    const auto area = static_cast<double>(tiles.height * tiles.width);
    const int32_t limit = std::max(static_cast<int32_t>(clip * area / 256), 1);
    std::vector<uint8_t> tables(static_cast<size_t>(tiles.grid) * static_cast<size_t>(tiles.grid) * 256);
    for (int row = 0; row < tiles.grid; ++row)
        for (int column = 0; column < tiles.grid; ++column)
            equalising_table(
                src, stride, height, width, tiles, row * tiles.height, column * tiles.width, limit,
                tables.data() +
                    (static_cast<size_t>(row) * static_cast<size_t>(tiles.grid) + static_cast<size_t>(column)) * 256);
    return tables;
}

}  // namespace

Bytes equalised_grey(const Bytes& pixels, const ClaheSpec& spec, const std::array<uint8_t, 256>& gamma) {
    const int64_t height = pixels.height, width = pixels.width;
    const Tiles tiles = tiles_of(height, width, spec.grid);
    const auto luts = equalising_tables(pixels.data(), 1, height, width, tiles, spec.clip);
    std::vector<frt::TilePair> columns;
    for (int64_t x = 0; x < width; ++x)
        columns.push_back(frt::tile_pair(x, 1.0f / static_cast<float>(tiles.width), tiles.grid));
    Bytes made(height, width);
    for (int64_t y = 0; y < height; ++y) {
        const frt::TilePair row = frt::tile_pair(y, 1.0f / static_cast<float>(tiles.height), tiles.grid);
        const uint8_t* from = pixels.row(y);
        uint8_t* to = made.row(y);
        for (int64_t x = 0; x < width; ++x)
            to[x] = gamma[frt::equalised(from[x], luts.data(), tiles.grid, row, columns[static_cast<size_t>(x)])];
    }
    return made;
}

Bytes equalised_colour(const Bytes& pixels, const ClaheSpec& spec, const std::array<uint8_t, 256>& gamma) {
    const int64_t height = pixels.height, width = pixels.width;
    const Tiles tiles = tiles_of(height, width, spec.grid);
    Bytes lab(height, width, 3), made(height, width, 3);
    rgb_to_lab(pixels.data(), lab.data(), pixels.pixels(), lab_tables().data());
    const auto luts = equalising_tables(lab.data(), 3, height, width, tiles, spec.clip);
    lab_to_enhanced_rgb(lab.data(), made.data(), height, width, luts.data(), tiles.height, tiles.width, tiles.grid,
                        lab_tables().data(), gamma.data());
    return made;
}

// CIE 1976 L*a*b*, D65, and sRGB's transfer curve, scaled by powers of two and rounded half to even by way of float32.
// Reference: fundusrt/kernels/tables.py.
const std::array<uint16_t, 7936>& lab_tables() {
    static const auto made = [] {
        std::array<uint16_t, 7936> tables{};
        size_t at = 0;
        const auto add = [&](double value) {
            tables[at++] = static_cast<uint16_t>(std::nearbyint(static_cast<float>(value)));
        };
        for (int i = 0; i < 256; ++i) {
            const double byte = i / 255.0;
            add(255 * 8 * (byte <= 0.04045 ? byte / 12.92 : std::pow((byte + 0.055) / 1.055, 2.4)));
        }
        for (int i = 0; i < 3072; ++i) {
            const double light = i / (255.0 * 8);
            add(32768 * (light < std::pow(6.0 / 29, 3) ? light * (841.0 / 108) + 16.0 / 116 : std::cbrt(light)));
        }
        for (int pass = 0; pass < 2; ++pass)
            for (int level = 0; level < 256; ++level) {
                const double f = 16384 * (level * (100.0 / 255) + 16) / 116;
                if (pass == 0)
                    add(level <= 20 ? level * 16384.0 * 180 / (17 * 29 * 29 * 29) : f * f * f / (1 << 28));
                else
                    add(level <= 20 ? 16384 * (16.0 / 116 + level * 5.0 / (3 * 17 * 29)) : f);
            }
        for (int i = 0; i < 4096; ++i) {
            const double part = i / 4096.0;
            add(255 * (part <= 0.0031308 ? part * 12.92 : 1.055 * std::pow(part, 1 / 2.4) - 0.055));
        }
        return tables;
    }();
    return made;
}

}  // namespace fundusrt
