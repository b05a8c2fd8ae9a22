// Both probability maps to the mask in one pass: up-sample, CGNR (parallel), fuse, threshold, field of view.
// Reference: fundusrt/pipeline.py (upsample, __call__), fundusrt/fusion.py, fundusrt/cgnr.py.
//
// Up-sampling is what OpenCV's resize does on x86-64: bilinear at pixel centres, the place of a pixel exact, its
// fraction rounded once to float32, first along the row, then down the column, each step low + fraction * (high - low)
// with the multiplication and the addition fused.
//
// A warp owns a strip of 62 columns and walks down it; its 32 lanes hold 64 columns, two each, of which the outermost
// are only seen. So a row's base mask is two ballots, its 3 x 3 dilation a few bit operations on three rows of them,
// and neither shared memory nor a barrier is needed for neighbours. Interpolated source rows stay in registers until
// the walk leaves them: each value of a map is loaded about once.
#include "kernels.cuh"
#include "pixel.cuh"

namespace {

constexpr int kStrip = 62;
constexpr int kMostRows = 64;
constexpr unsigned kWarp = 0xffffffffu;

// On one axis, the two source positions of a target pixel and the weight of the second.
struct Place {
    int64_t low, high;
    float weight;
};

__device__ Place place(int64_t i, int64_t source, int64_t target) {
    const int64_t twice = (2 * i + 1) * source - target, whole = 2 * target;  // (i + 1/2) source / target - 1/2
    Place p;
    if (twice <= 0) {
        p.low = 0;
        p.weight = 0.0f;
    } else {
        p.low = twice / whole;
        p.weight = static_cast<float>(static_cast<double>(twice - p.low * whole) / static_cast<double>(whole));
    }
    if (p.low >= source - 1) {
        p.low = source - 1;
        p.weight = 0.0f;
    }
    p.high = frt::smaller(p.low + 1, source - 1);
    return p;
}

__device__ inline float between(float low, float high, float weight) { return fmaf(weight, high - low, low); }

// p + w (q - p), rounded after each operation, as NumPy does.
__device__ inline float blend(float p, float q, float weight) {
    const float difference = (q - p) * weight;
    return p + difference;
}

// Two columns of a map: where they read, and the source rows last read, interpolated along the row.
struct Walk {
    int64_t low[2], high[2];
    float weight[2];
    float upper[2], lower[2];
    int64_t upper_row, lower_row;

    __device__ void read(const float* map, int64_t row, float* values) const {
#pragma unroll
        for (int c = 0; c < 2; ++c) values[c] = between(map[row + low[c]], map[row + high[c]], weight[c]);
    }

    __device__ void to_row(const float* map, const Place& row, float* values) {
        if (row.low != upper_row) {
            if (row.low == lower_row) {
                upper[0] = lower[0];
                upper[1] = lower[1];
            } else {
                read(map, row.low, upper);
            }
            upper_row = row.low;
        }
        if (row.high != lower_row) {
            read(map, row.high, lower);
            lower_row = row.high;
        }
#pragma unroll
        for (int c = 0; c < 2; ++c) values[c] = between(upper[c], lower[c], row.weight);
    }
};

}  // namespace

// small: the tile network's map of grid_height x grid_width, kept as tiles of tile_height x tile_width in reading order
// (one tile of the whole size: a plain map). large: (large_height, large_width). field: bits or null.
// order: 0 cgnr_then_fuse, 1 fuse_then_cgnr, 2 cgnr_only; refine: 0 leaves CGNR out.
// mask: (height, width), 0 or 255; probability: (height, width) or null.
// A block makes `rows` rows (at most 64) of blockDim.x / 32 strips.
extern "C" __global__ void __launch_bounds__(256)
frt_fuse(const float* __restrict__ small, const float* __restrict__ large, const uint8_t* __restrict__ field,
         uint8_t* __restrict__ mask, float* __restrict__ probability, int64_t height, int64_t width, int64_t grid_height,
         int64_t grid_width, int64_t tile_height, int64_t tile_width, int64_t large_height, int64_t large_width,
         float threshold, float weight, int32_t order, int32_t refine, int32_t rows) {
    __shared__ Place small_rows[kMostRows + 2], large_rows[kMostRows + 2];
    const int64_t top = static_cast<int64_t>(blockIdx.y) * rows, bottom = frt::smaller(top + rows, height);
    const int64_t tile_area = tile_height * tile_width, tiles_across = grid_width / tile_width;
    for (int k = static_cast<int>(threadIdx.x); k < rows + 2; k += static_cast<int>(blockDim.x)) {
        const int64_t y = top - 1 + k;
        if (y < 0 || y >= height) continue;
        Place p = place(y, grid_height, height);
        // Source rows become offsets: the walk only compares and adds them.
        p.low = p.low / tile_height * tiles_across * tile_area + p.low % tile_height * tile_width;
        p.high = p.high / tile_height * tiles_across * tile_area + p.high % tile_height * tile_width;
        small_rows[k] = p;
        p = place(y, large_height, height);
        p.low *= large_width;
        p.high *= large_width;
        large_rows[k] = p;
    }
    __syncthreads();

    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int64_t strip = static_cast<int64_t>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    if (strip * kStrip >= width) return;  // the whole warp
    const int64_t left = strip * kStrip - 1 + 2 * lane;
    Walk near_small, near_large;
    near_small.upper_row = near_small.lower_row = near_large.upper_row = near_large.lower_row = -1;
    bool exists[2], writes[2];
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        const int64_t x = left + c, seen = frt::larger<int64_t>(0, frt::smaller(x, width - 1));
        exists[c] = x == seen;
        writes[c] = exists[c] && 2 * lane + c >= 1 && 2 * lane + c <= kStrip;
        Place p = place(seen, grid_width, width);
        near_small.low[c] = p.low / tile_width * tile_area + p.low % tile_width;
        near_small.high[c] = p.high / tile_width * tile_area + p.high % tile_width;
        near_small.weight[c] = p.weight;
        p = place(seen, large_width, width);
        near_large.low[c] = p.low;
        near_large.high[c] = p.high;
        near_large.weight[c] = p.weight;
    }

    // Of the row before: its values, its base mask, and that mask spread one column to either side; of the row before
    // that only the last.
    float base_before[2] = {0.0f, 0.0f}, guide_before[2] = {0.0f, 0.0f};
    bool on_before[2] = {false, false};
    unsigned spread_before[2] = {0u, 0u}, spread_above[2] = {0u, 0u};
    for (int64_t y = top - 1; y <= bottom; ++y) {
        float base[2] = {0.0f, 0.0f}, guide[2] = {0.0f, 0.0f};
        bool on[2] = {false, false};
        if (y >= 0 && y < height) {
            near_small.to_row(small, small_rows[y - top + 1], base);
            near_large.to_row(large, large_rows[y - top + 1], guide);
#pragma unroll
            for (int c = 0; c < 2; ++c) {
                if (order == 1) base[c] = blend(base[c], guide[c], weight);
                on[c] = exists[c] && base[c] >= threshold;
            }
        }
        const unsigned even = __ballot_sync(kWarp, on[0]), odd = __ballot_sync(kWarp, on[1]);
        const unsigned spread[2] = {even | odd | odd << 1, odd | even | even >> 1};
        if (y > top) {
#pragma unroll
            for (int c = 0; c < 2; ++c) {
                if (!writes[c]) continue;
                const bool touched = (spread_above[c] | spread_before[c] | spread[c]) >> lane & 1u;
                const bool switched = refine != 0 && !on_before[c] && guide_before[c] >= threshold && touched;
                float p = switched ? guide_before[c] : base_before[c];
                if (order == 0) p = blend(p, guide_before[c], weight);
                if (!frt::in_field(field, width, y - 1, left + c)) p = 0.0f;
                const int64_t at = (y - 1) * width + left + c;
                mask[at] = p >= threshold ? 255 : 0;
                if (probability != nullptr) probability[at] = p;
            }
        }
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            base_before[c] = base[c];
            guide_before[c] = guide[c];
            on_before[c] = on[c];
            spread_above[c] = spread_before[c];
            spread_before[c] = spread[c];
        }
    }
}
