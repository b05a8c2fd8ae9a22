// An 8-bit image straight into the network's batch: nearest-neighbour size rule, tiles, normalisation by table, planes.
// Reference: fundusrt/preprocess.py, fit_to_grid and to_tensor, and the batches of fundusrt/pipeline.py.
#include "kernels.cuh"
#include "pixel.cuh"

namespace {

// floor((2 i + 1) n / (2 m)): the source pixel of target pixel i. Unsigned, which divides faster.
__device__ inline int64_t nearest(int64_t i, int64_t n, int64_t m) {
    return static_cast<int64_t>(static_cast<uint64_t>((2 * i + 1) * n) / static_cast<uint64_t>(2 * m));
}

// ITU-R BT.601 luma as OpenCV rounds it, in units of 2^-15.
__device__ inline uint8_t luma(const uint8_t* rgb) {
    return static_cast<uint8_t>((9798 * rgb[0] + 19235 * rgb[1] + 3735 * rgb[2] + (1 << 14)) >> 15);
}

struct Four32 {
    uint32_t v[4];
};
struct Four16 {
    uint16_t v[4];
};

// Element is the bit pattern of a network input: float32 in uint32, or float16 in uint16. The table holds, for each of
// `planes` channels, the normalised value of each byte, so nothing is computed here and nothing can round differently.
template <typename Element, typename Four>
__device__ void gather(const uint8_t* src, Element* out, int64_t height, int64_t width, int32_t channels,
                       int64_t grid_height, int64_t grid_width, int64_t tile, int64_t first, int32_t planes,
                       const Element* table) {
    const int64_t x0 = 4 * frt::thread_index();
    const int64_t y = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y;
    if (x0 >= tile || y >= tile) return;
    const int64_t columns = grid_width / tile, index = first + blockIdx.z;
    const bool padding = index >= columns * (grid_height / tile);
    const int64_t top = index / columns * tile, left = index % columns * tile;
    const int64_t row = padding ? 0 : nearest(top + y, height, grid_height);
    uint8_t values[3][4] = {};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        if (padding || x0 + k >= tile) continue;
        const uint8_t* pixel = src + (row * width + nearest(left + x0 + k, width, grid_width)) * channels;
        if (channels == 3 && planes == 3) {
            values[0][k] = pixel[0];
            values[1][k] = pixel[1];
            values[2][k] = pixel[2];
        } else {
            values[0][k] = values[1][k] = values[2][k] = channels == 3 ? luma(pixel) : pixel[0];
        }
    }
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        if (c >= planes) continue;
        Element* to = out + ((blockIdx.z * static_cast<int64_t>(planes) + c) * tile + y) * tile + x0;
        Four four;
#pragma unroll
        for (int k = 0; k < 4; ++k) four.v[k] = padding ? Element(0) : table[c * 256 + values[c][k]];
        if (tile % 4 == 0) {
            struct alignas(4 * sizeof(Element)) Aligned {
                Four four;
            };
            reinterpret_cast<Aligned*>(to)->four = four;
            continue;
        }
#pragma unroll
        for (int k = 0; k < 4; ++k)
            if (x0 + k < tile) to[k] = four.v[k];
    }
}

}  // namespace

// out: (gridDim.z, planes, tile, tile), tiles `first`, `first` + 1, ... in reading order; those behind the last are all
// 0. src: (height, width, channels), channels 1 or 3; planes 1 or 3.
extern "C" __global__ void __launch_bounds__(256)
    frt_gather_f32(const uint8_t* src, uint32_t* out, int64_t height, int64_t width, int32_t channels,
                   int64_t grid_height, int64_t grid_width, int64_t tile, int64_t first, int32_t planes,
                   const uint32_t* table) {
    gather<uint32_t, Four32>(src, out, height, width, channels, grid_height, grid_width, tile, first, planes, table);
}

extern "C" __global__ void __launch_bounds__(256)
    frt_gather_f16(const uint8_t* src, uint16_t* out, int64_t height, int64_t width, int32_t channels,
                   int64_t grid_height, int64_t grid_width, int64_t tile, int64_t first, int32_t planes,
                   const uint16_t* table) {
    gather<uint16_t, Four16>(src, out, height, width, channels, grid_height, grid_width, tile, first, planes, table);
}
