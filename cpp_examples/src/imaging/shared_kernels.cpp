#include "imaging/shared_kernels.hpp"

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

void resize_linear(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int channels, int64_t target_height,
                   int64_t target_width, bool by_area) {
    for_each_pixel(target_height * target_width, [&] {
        frt_resize_linear(src, dst, height, width, channels, target_height, target_width, by_area ? 1 : 0);
    });
}

}  // namespace fundusrt
