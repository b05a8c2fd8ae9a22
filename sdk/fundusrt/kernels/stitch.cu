// Overlapping tiles into one map: at each pixel the weighted mean of the tiles that cover it, added in reading order,
// so that no result depends on the order of threads. One pixel a thread, grid.y shares the rows.
// Reference: fundusrt/stitching.py (equal weights).
#include "kernels.cuh"
#include "pixel.cuh"

namespace {

// The tiles of an axis that cover position i: first and last of `count` tiles evenly spread from 0 to length - tile.
struct Covering {
    int64_t first, last;  // inclusive
};

__device__ inline int64_t start(int64_t tile_index, int64_t length, int64_t tile, int64_t count) {
    return count == 1 ? 0 : tile_index * (length - tile) / (count - 1);
}

__device__ Covering covering(int64_t i, int64_t length, int64_t tile, int64_t count) {
    Covering c = {0, 0};
    if (count == 1) return c;
    // start(k) <= i, near the inverse of `start`; the division there rounds down, so a step either way may remain.
    c.last = frt::smaller(i * (count - 1) / (length - tile), count - 1);
    while (c.last + 1 < count && start(c.last + 1, length, tile, count) <= i) ++c.last;
    c.first = c.last;
    while (c.first > 0 && start(c.first - 1, length, tile, count) + tile > i) --c.first;
    return c;
}

}  // namespace

// tiles: (rows * columns, tile, tile); window: (tile, tile) weights above 0, or null for equal ones;
// map: (height, width).
extern "C" __global__ void __launch_bounds__(256)
    frt_stitch(const float* tiles, const float* window, float* map, int64_t height, int64_t width, int64_t tile,
               int64_t rows, int64_t columns) {
    const int64_t x = frt::thread_index();
    if (x >= width) return;
    const Covering across = covering(x, width, tile, columns);
#pragma unroll 1
    for (int64_t y = blockIdx.y; y < height; y += gridDim.y) {
        const Covering down = covering(y, height, tile, rows);
        float sum = 0.0f, weights = 0.0f;
#pragma unroll 1
        for (int64_t r = down.first; r <= down.last; ++r) {
#pragma unroll 1
            for (int64_t c = across.first; c <= across.last; ++c) {
                const int64_t place = (y - start(r, height, tile, rows)) * tile + x - start(c, width, tile, columns);
                const float weight = window == nullptr ? 1.0f : window[place];
                sum += weight * tiles[(r * columns + c) * tile * tile + place];
                weights += weight;
            }
        }
        map[y * width + x] = sum / weights;
    }
}
