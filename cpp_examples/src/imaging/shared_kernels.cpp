#include "imaging/shared_kernels.hpp"

#include <utility>
#include <vector>

#include "imaging/cuda_on_host.hpp"

// Other names than on the GPU: a program may hold both.
#define frt_rgb_to_lab frt_host_rgb_to_lab
#define frt_enhance_lab frt_host_enhance_lab
#define frt_enhance_rgb frt_host_enhance_rgb
#define frt_shrink_area frt_host_shrink_area
#define frt_shrink_blocks frt_host_shrink_blocks
#define frt_resize_linear frt_host_resize_linear

#include "colour.cu"
#include "shrink.cu"

namespace fundusrt {

namespace {

// Runs a kernel whose grid.x covers the work, a thread at a time.
template <typename Kernel>
void for_each_pixel(int64_t count, Kernel kernel) {
    blockDim = {1U << 20, 1, 1};
    for (int64_t i = 0; i < count; ++i) {
        blockIdx.x = static_cast<unsigned>(i >> 20);
        threadIdx.x = static_cast<unsigned>(i & ((1 << 20) - 1));
        kernel();
    }
}

}  // namespace

void rgb_to_lab(const uint8_t* rgb, uint8_t* lab, int64_t pixels, const uint16_t* tables) {
    for_each_pixel(pixels, [&] { frt_rgb_to_lab(rgb, lab, pixels, tables); });
}

void lab_to_enhanced_rgb(const uint8_t* lab, uint8_t* rgb, int64_t height, int64_t width, const uint8_t* luts,
                         int64_t tile_height, int64_t tile_width, int grid, const uint16_t* tables,
                         const uint8_t* gamma) {
    blockIdx.y = 0;
    gridDim.y = 1;
    for_each_pixel(width, [&] {
        frt_enhance_lab(lab, rgb, height, width, luts, tile_height, tile_width, grid, tables, gamma, nullptr);
    });
}

void shrink_area(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int channels, int64_t target_height,
                 int64_t target_width) {
    for_each_pixel(target_height * target_width,
                   [&] { frt_shrink_area(src, dst, height, width, channels, target_height, target_width); });
}

void shrink_blocks(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int channels, int64_t target_height,
                   int64_t target_width) {
    for_each_pixel(target_height * target_width,
                   [&] { frt_shrink_blocks(src, dst, height, width, channels, target_height, target_width); });
}

// As frt_resize_linear, with the places of an axis worked out once instead of for each pixel, and the sums along a row
// once for each source row.
void resize_linear(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int channels, int64_t target_height,
                   int64_t target_width, bool by_area) {
    const int64_t count = target_width * channels;
    std::vector<int32_t> low, high, weight_low, weight_high;
    for (int64_t x = 0; x < target_width; ++x) {
        const Pair column = pair(x, width, target_width, by_area, true);
        for (int c = 0; c < channels; ++c) {
            low.push_back(static_cast<int32_t>(column.low * channels + c));
            high.push_back(static_cast<int32_t>(column.high * channels + c));
            weight_low.push_back(column.weight_low);
            weight_high.push_back(column.weight_high);
        }
    }
    std::vector<int32_t> lines[2] = {std::vector<int32_t>(low.size()), std::vector<int32_t>(low.size())};
    int64_t held[2] = {-1, -1};
    for (int64_t y = 0; y < target_height; ++y) {
        const Pair row = pair(y, height, target_height, by_area, false);
        if (held[0] != row.low && held[1] == row.low) {
            lines[0].swap(lines[1]);
            std::swap(held[0], held[1]);
        }
        const int64_t wanted[2] = {row.low, row.high};
        for (size_t k = 0; k < 2; ++k) {
            if (held[k] == wanted[k]) continue;
            held[k] = wanted[k];
            const uint8_t* from = src + wanted[k] * width * channels;
            for (size_t i = 0; i < low.size(); ++i)
                lines[k][i] = (from[low[i]] * weight_low[i] + from[high[i]] * weight_high[i]) >> 4;
        }
        const int32_t *top = lines[0].data(), *bottom = lines[1].data();
        uint8_t* to = dst + y * count;
        for (int64_t i = 0; i < count; ++i) {
            const int32_t sum = ((row.weight_low * top[i]) >> 16) + ((row.weight_high * bottom[i]) >> 16);
            to[i] = frt::clamp_to_byte((sum + 2) >> 2);
        }
    }
}

}  // namespace fundusrt
