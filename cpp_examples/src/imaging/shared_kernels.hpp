// Kernels of sdk/fundusrt/kernels that run on the CPU as they are: one target pixel at a time, no barriers.
#pragma once

#include <cstdint>

namespace fundusrt {

// (pixels, 3) bytes each; `tables` as lab_tables().
void rgb_to_lab(const uint8_t* rgb, uint8_t* lab, int64_t pixels, const uint16_t* tables);

// rgb = gamma[to_rgb(equalised lightness, a, b)]; luts: (grid, grid, 256).
void lab_to_enhanced_rgb(const uint8_t* lab, uint8_t* rgb, int64_t height, int64_t width, const uint8_t* luts,
                         int64_t tile_height, int64_t tile_width, int grid, const uint16_t* tables,
                         const uint8_t* gamma);

// OpenCV's 8-bit resize by area, both sides reduced or kept.
void shrink_area(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int channels, int64_t target_height,
                 int64_t target_width);

// The same where both sides are whole multiples of the target's.
void shrink_blocks(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int channels, int64_t target_height,
                   int64_t target_width);

// OpenCV's 8-bit bilinear resize; by_area: with the coordinates of enlarging by area.
void resize_linear(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int channels, int64_t target_height,
                   int64_t target_width, bool by_area);

}  // namespace fundusrt
