// Contrast-limited adaptive histogram equalisation, gamma and field of view of a grey image: equal to OpenCV's CLAHE
// followed by the table and the mask, bit for bit. Three kernels: histograms, equalising tables, pixels.
// Reference: fundusrt/preprocess.py, enhance.
#include "kernels.cuh"
#include "clahe.cuh"

namespace {

constexpr int kRun = 16;  // pixels a thread counts in a row: equal neighbours (the black surround) cost one update

// Where the mirrored border (edge pixel not repeated) takes position i of an axis of n pixels from.
__device__ inline int64_t mirrored(int64_t i, int64_t n) {
    if (n == 1) return 0;
    while (i < 0 || i >= n) i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
}

}  // namespace

// Counts the values of each tile. The tiles cover the image extended below and to the right by its mirror image, where
// its size is no multiple of the grid's. grid.y is the tile, grid.x shares its rows.
// src: (height, width) pixels `stride` bytes apart; histograms: (grid, grid, 256), 0 before.
extern "C" __global__ void __launch_bounds__(256)
    frt_clahe_histograms(const uint8_t* src, int32_t stride, int64_t height, int64_t width, int64_t tile_height,
                         int64_t tile_width, int32_t grid, uint32_t* histograms) {
    __shared__ uint32_t counts[256];
    counts[threadIdx.x] = 0;
    __syncthreads();
    const int64_t top = (blockIdx.y / grid) * tile_height, left = (blockIdx.y % grid) * tile_width;
    const int64_t runs = (tile_width + kRun - 1) / kRun;
#pragma unroll 1
    for (int64_t job = frt::thread_index(); job < tile_height * runs; job += frt::thread_count()) {
        const int64_t row = job / runs, start = (job - row * runs) * kRun;
        const int64_t stop = frt::smaller(start + kRun, tile_width);
        const uint8_t* line = src + mirrored(top + row, height) * width * stride;
        int last = -1;
        uint32_t length = 0;
#pragma unroll 1
        for (int64_t x = start; x < stop; ++x) {
            const int value = line[mirrored(left + x, width) * stride];
            if (value != last) {
                if (length) atomicAdd(&counts[last], length);
                last = value;
                length = 0;
            }
            ++length;
        }
        atomicAdd(&counts[last], length);
    }
    __syncthreads();
    // Whole numbers: whatever the order of the blocks, the sum is the same.
    if (counts[threadIdx.x])
        atomicAdd(&histograms[static_cast<int64_t>(blockIdx.y) * 256 + threadIdx.x], counts[threadIdx.x]);
}

// Clips each histogram, spreads what was cut off evenly and turns the running sum into a table. A block of 256 a tile.
extern "C" __global__ void __launch_bounds__(256)
    frt_clahe_luts(const uint32_t* histograms, uint8_t* luts, int32_t clip_limit, float scale) {
    __shared__ int32_t shared[256];
    const int bin = static_cast<int>(threadIdx.x);
    const int64_t at = static_cast<int64_t>(blockIdx.x) * 256 + bin;
    int32_t count = static_cast<int32_t>(histograms[at]);

    shared[bin] = frt::larger(count - clip_limit, 0);
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (bin < half) shared[bin] += shared[bin + half];
        __syncthreads();
    }
    const int32_t clipped = shared[0];
    __syncthreads();
    count = frt::smaller(count, clip_limit) + clipped / 256;
    // The remainder goes to every step-th bin, one each, from the first on.
    const int32_t rest = clipped % 256;
    if (rest != 0) {
        const int32_t step = frt::larger(256 / rest, 1);
        if (bin % step == 0 && bin / step < rest) ++count;
    }

    shared[bin] = count;
    __syncthreads();
    for (int back = 1; back < 256; back *= 2) {
        const int32_t before = bin >= back ? shared[bin - back] : 0;
        __syncthreads();
        shared[bin] += before;
        __syncthreads();
    }
    luts[at] = frt::round_to_byte(static_cast<float>(shared[bin]) * scale);
}

// dst = gamma[equalised(src)] inside the field of view, 0 outside. Four pixels of a row a thread, grid.y shares the
// rows; luts null: no equalisation, gamma alone.
extern "C" __global__ void __launch_bounds__(256)
    frt_enhance_grey(const uint8_t* src, uint8_t* dst, int64_t height, int64_t width, const uint8_t* luts,
                     int64_t tile_height, int64_t tile_width, int32_t grid, const uint8_t* gamma,
                     const uint8_t* field) {
    const int64_t x0 = 4 * frt::thread_index();
    if (x0 >= width) return;
    const float inverse_height = 1.0f / static_cast<float>(tile_height),
                inverse_width = 1.0f / static_cast<float>(tile_width);
    const bool whole = width % 4 == 0;  // then every row starts on a multiple of 4 bytes
#pragma unroll 1
    for (int64_t y = blockIdx.y; y < height; y += gridDim.y) {
        const frt::TilePair row = frt::tile_pair(y, inverse_height, grid);
        const uint8_t* from = src + y * width + x0;
        uint8_t* to = dst + y * width + x0;
        uchar4 four = make_uchar4(0, 0, 0, 0);
        if (whole) {
            four = *reinterpret_cast<const uchar4*>(from);
        } else {
            four.x = from[0];
            if (x0 + 1 < width) four.y = from[1];
            if (x0 + 2 < width) four.z = from[2];
            if (x0 + 3 < width) four.w = from[3];
        }
        const auto enhanced = [&](uint8_t value, int64_t x) -> uint8_t {
            if (x >= width || !frt::in_field(field, width, y, x)) return 0;
            return gamma[luts == nullptr
                             ? value
                             : frt::equalised(value, luts, grid, row, frt::tile_pair(x, inverse_width, grid))];
        };
        four = make_uchar4(enhanced(four.x, x0), enhanced(four.y, x0 + 1), enhanced(four.z, x0 + 2),
                           enhanced(four.w, x0 + 3));
        if (whole) {
            *reinterpret_cast<uchar4*>(to) = four;
        } else {
            to[0] = four.x;
            if (x0 + 1 < width) to[1] = four.y;
            if (x0 + 2 < width) to[2] = four.z;
            if (x0 + 3 < width) to[3] = four.w;
        }
    }
}
