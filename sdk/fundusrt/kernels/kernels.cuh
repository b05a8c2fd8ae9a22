// Every kernel of FundusRT: the interface shared by Python (through launches.py) and C++.
//
// Conventions, for all of them:
// - plain pointers to device memory and sizes in pixels; images are row-major with interleaved channels;
// - what a kernel needs besides is written beside it: which memory must be 0 before, which grid it runs on;
// - grid.x covers the work, blocks of 256 threads, no dynamic shared memory, unless said otherwise;
// - no kernel allocates, synchronises or depends on the order of threads; all indices are 64 bits;
// - the numbers are those of the Python module named in each file, bit for bit, if compiled with -fmad=false.
#pragma once

#include <cstdint>

extern "C" {

// depth.cu
__global__ void frt_reduce_16(const uint16_t* src, uint8_t* dst, int64_t count);
__global__ void frt_channels_differ(const uint8_t* rgb, int64_t pixels, uint32_t* differ);
__global__ void frt_pick_channel(const uint8_t* rgb, uint8_t* grey, int64_t pixels, int32_t channel);

// clahe.cu
__global__ void frt_clahe_histograms(const uint8_t* src, int32_t stride, int64_t height, int64_t width,
                                     int64_t tile_height, int64_t tile_width, int32_t grid, uint32_t* histograms);
__global__ void frt_clahe_luts(const uint32_t* histograms, uint8_t* luts, int32_t clip_limit, float scale);
__global__ void frt_enhance_grey(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, const uint8_t* luts,
                                 int64_t tile_height, int64_t tile_width, int32_t grid, const uint8_t* gamma,
                                 const uint8_t* field);

// colour.cu
__global__ void frt_rgb_to_lab(const uint8_t* rgb, uint8_t* lab, int64_t pixels, const uint16_t* tables);
__global__ void frt_enhance_lab(const uint8_t* lab, uint8_t* rgb, int64_t height, int64_t width, const uint8_t* luts,
                                int64_t tile_height, int64_t tile_width, int32_t grid, const uint16_t* tables,
                                const uint8_t* gamma, const uint8_t* field);
__global__ void frt_enhance_rgb(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, const uint8_t* gamma,
                                const uint8_t* field);

// shrink.cu
__global__ void frt_shrink_area(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int32_t channels,
                                int64_t target_height, int64_t target_width);
__global__ void frt_shrink_blocks(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int32_t channels,
                                  int64_t target_height, int64_t target_width);
__global__ void frt_resize_linear(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, int32_t channels,
                                  int64_t target_height, int64_t target_width, int32_t by_area);

// gather.cu: grid (columns, rows, tiles of the batch), block (64, 4)
__global__ void frt_gather_f32(const uint8_t* src, uint32_t* out, int64_t height, int64_t width, int32_t channels,
                               int64_t grid_height, int64_t grid_width, int64_t tile, int64_t first, int32_t planes,
                               const uint32_t* table);
__global__ void frt_gather_f16(const uint8_t* src, uint16_t* out, int64_t height, int64_t width, int32_t channels,
                               int64_t grid_height, int64_t grid_width, int64_t tile, int64_t first, int32_t planes,
                               const uint16_t* table);

// range.cu
__global__ void frt_check_range(const float* values, int64_t count, float low, float high, uint32_t* outside);

// stitch.cu
__global__ void frt_stitch(const float* tiles, const float* window, float* map, int64_t height, int64_t width,
                           int64_t tile, int64_t rows, int64_t columns);

// fuse.cu: grid (strips of 60 columns / 8, bands of `rows` rows)
__global__ void frt_fuse(const float* __restrict__ small, const float* __restrict__ large,
                         const uint8_t* __restrict__ field, uint8_t* __restrict__ mask, float* __restrict__ probability,
                         int64_t height, int64_t width, int64_t grid_height, int64_t grid_width, int64_t tile_height,
                         int64_t tile_width, int64_t large_height, int64_t large_width, float threshold, float weight,
                         int32_t order, int32_t refine, int32_t rows);

}  // extern "C"
