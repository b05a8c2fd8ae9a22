// Both probability maps to the mask in one pass: up-sample, CGNR (parallel), fuse, threshold, field of view.
// Reference: fundusrt/pipeline.py (upsample, __call__), fundusrt/fusion.py, fundusrt/cgnr.py.
//
// Up-sampling is what OpenCV's resize does on x86-64: bilinear at pixel centres, the place of a pixel exact, its
// fraction rounded once to float32, first along the row, then down the column, each step low + fraction * (high - low)
// with the multiplication and the addition fused.
//
// A warp owns a strip of 60 columns and walks down it; its 32 lanes hold 64 columns, two each, of which the two
// outermost on either side are only seen. So a row's base mask is two ballots and its 3 x 3 dilation a few bit
// operations on three rows of them: no neighbour costs memory or a barrier. Interpolated source rows stay in registers
// until the walk leaves them, and two rows of the tile map are under way while one is worked on.
#include "kernels.cuh"
#include "pixel.cuh"

namespace {

constexpr int kStrip = 60;
constexpr int kMostRows = 64;
constexpr unsigned kWarp = 0xffffffffu;

// Blocks of a multiprocessor: as many as fit without spilling registers, for loads under way are what hides memory.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1200
constexpr int kBlocks = 3;
#else
constexpr int kBlocks = 4;
#endif

// On one axis, the two source positions of a target pixel and the weight of the second.
struct Place {
    int64_t low, high;
    float weight;
};

// Position (i + 1/2) source / target - 1/2, in whole numbers; in 32 bits and float where that cannot change a bit (the
// quotient of two numbers below 2^24 is never near enough to a tie for double to round it elsewhere than float).
__device__ Place place(int64_t i, int64_t source, int64_t target) {
    const int64_t twice = (2 * i + 1) * source - target, whole = 2 * target;
    Place p = {0, 0, 0.0f};
    if (twice > 0 && source * whole < (1LL << 32) && whole < (1 << 24)) {
        const uint32_t above = static_cast<uint32_t>(twice), below = static_cast<uint32_t>(whole);
        const uint32_t low = above / below;
        p.low = low;
        p.weight = static_cast<float>(above - low * below) / static_cast<float>(below);
    } else if (twice > 0) {
        p.low = twice / whole;
        p.weight = static_cast<float>(static_cast<double>(twice - p.low * whole) / static_cast<double>(whole));
    }
    p.low = frt::smaller(p.low, source - 1);
    p.high = frt::smaller(p.low + 1, source - 1);
    return p;
}

// A target row: its two source rows, the weight of the second, and what of the row before can be kept.
enum Reads : int32_t { kExists = 1, kUpper = 2, kUpperWasLower = 4, kLower = 8 };

struct Row {
    int64_t upper, lower;  // in bytes from the map's start, so that an address is two additions
    float weight;
    int32_t reads;
};

// A map as tiles in reading order; a plain map is one tile of its own size.
struct Map {
    int64_t height, width, tile_height, tile_width;

    __device__ int64_t row(int64_t y) const {
        return (y / tile_height * tile_height * width + y % tile_height * tile_width) * 4;
    }

    // In bytes from the row's start; 32 bits are enough within a row of tiles.
    __device__ uint32_t column(int64_t x) const {
        return static_cast<uint32_t>((x / tile_width * tile_width * tile_height + x % tile_width) * 4);
    }

    __device__ Row target_row(int64_t y, int64_t target_height, bool first) const {
        const Place here = place(y, height, target_height), before = place(y - 1, height, target_height);
        Row made = {row(here.low), row(here.high), here.weight, kExists};
        if (first || here.low != before.low) made.reads |= !first && here.low == before.high ? kUpperWasLower : kUpper;
        if (first || here.high != before.high) made.reads |= kLower;
        return made;
    }
};

__device__ inline float between(float low, float high, float weight) { return fmaf(weight, high - low, low); }

// p + w (q - p), rounded after each operation, as NumPy does.
__device__ inline float blend(float p, float q, float weight) {
    const float difference = (q - p) * weight;
    return p + difference;
}

// Where a lane's two columns read in a row of a map. In a plain map the second place is the next one, or the last
// again: worked out when needed, since registers are what limits how many warps run.
template <bool kPlain>
struct Columns {
    uint32_t low[2], high[kPlain ? 1 : 2];
    float weight[2];

    __device__ Columns(const Map& map, int64_t left, int64_t target_width) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            const int64_t x = frt::larger<int64_t>(0, frt::smaller(left + c, target_width - 1));
            const Place p = place(x, map.width, target_width);
            low[c] = map.column(p.low);
            high[kPlain ? 0 : c] = map.column(kPlain ? map.width - 1 : p.high);
            weight[c] = p.weight;
        }
    }

    __device__ void fetch(const float* __restrict__ map, int64_t row, float* raw) const {
        const char* start = reinterpret_cast<const char*>(map) + row;
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            raw[2 * c] = *reinterpret_cast<const float*>(start + low[c]);
            raw[2 * c + 1] =
                *reinterpret_cast<const float*>(start + (kPlain ? frt::smaller(low[c] + 4, high[0]) : high[c]));
        }
    }

    __device__ void interpolate(const float* raw, float* values) const {
#pragma unroll
        for (int c = 0; c < 2; ++c) values[c] = between(raw[2 * c], raw[2 * c + 1], weight[c]);
    }
};

template <int kOrder>
__device__ void walk(const float* __restrict__ small, const float* __restrict__ large, const Row* small_rows,
                     const Row* large_rows, const Columns<false>& in_small, const Columns<true>& in_large,
                     const uint8_t* __restrict__ field, uint8_t* __restrict__ mask, float* __restrict__ probability,
                     int64_t width, int64_t left, int lane, int64_t top, int count, float threshold,
                     float guide_threshold, float weight) {
    const bool exists[2] = {left >= 0 && left < width, left + 1 >= 0 && left + 1 < width};
    const bool writes = lane >= 1 && lane <= kStrip / 2 && exists[0], paired = width % 2 == 0;
    const int64_t field_width = (width + 7) / 8;
    int64_t at = top * width + left, field_at = top * field_width + (left >> 3);

    // Fetched ahead for the rows two and one further down: rows take turns in two buffers.
    float even_rows[4], odd_rows[4];
    float small_upper[2] = {}, small_lower[2] = {}, large_upper[2] = {}, large_lower[2] = {};
    // Of the row before: both maps, and its base mask spread one column to either side; of the row above that the last.
    float base_before[2] = {}, guide_before[2] = {};
    unsigned spread_before[2] = {}, spread_above[2] = {};

    const auto step = [&](int k, float* raw) {
        const Row row = small_rows[k], guide_row = large_rows[k];
        if (row.reads & kUpper) {
            float now[4];
            in_small.fetch(small, row.upper, now);
            in_small.interpolate(now, small_upper);
        }
        if (row.reads & kUpperWasLower) {
            small_upper[0] = small_lower[0];
            small_upper[1] = small_lower[1];
        }
        if (row.reads & kLower) in_small.interpolate(raw, small_lower);
        if (small_rows[k + 2].reads & kLower) in_small.fetch(small, small_rows[k + 2].lower, raw);
        if (guide_row.reads & (kUpper | kUpperWasLower | kLower)) {  // once in several rows
            float now[4];
            if (guide_row.reads & kUpper) {
                in_large.fetch(large, guide_row.upper, now);
                in_large.interpolate(now, large_upper);
            }
            if (guide_row.reads & kUpperWasLower) {
                large_upper[0] = large_lower[0];
                large_upper[1] = large_lower[1];
            }
            if (guide_row.reads & kLower) {
                in_large.fetch(large, guide_row.lower, now);
                in_large.interpolate(now, large_lower);
            }
        }

        float base[2], guide[2];
        bool on[2];
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            base[c] = between(small_upper[c], small_lower[c], row.weight);
            guide[c] = between(large_upper[c], large_lower[c], guide_row.weight);
            if (kOrder == 1) base[c] = blend(base[c], guide[c], weight);
            on[c] = exists[c] && row.reads != 0 && base[c] >= threshold;
        }
        const unsigned even = __ballot_sync(kWarp, on[0]), odd = __ballot_sync(kWarp, on[1]);
        const unsigned spread[2] = {even | odd | odd << 1, odd | even | even >> 1};
        if (k >= 2 && k < count + 2) {
            const unsigned inside = !writes || field == nullptr ? 3u : field[field_at] >> (left & 7);
            float p[2];
            uint8_t out[2];
#pragma unroll
            for (int c = 0; c < 2; ++c) {
                const bool touched = (spread_above[c] | spread_before[c] | spread[c]) >> lane & 1u;
                const bool switched = touched && guide_before[c] >= guide_threshold && !(base_before[c] >= threshold);
                p[c] = switched ? guide_before[c] : base_before[c];
                if (kOrder == 0) p[c] = blend(p[c], guide_before[c], weight);
                if (!(inside >> c & 1u)) p[c] = 0.0f;
                out[c] = p[c] >= threshold ? 255 : 0;
            }
            if (writes && paired) {
                *reinterpret_cast<uchar2*>(mask + at) = make_uchar2(out[0], out[1]);
                if (probability != nullptr) *reinterpret_cast<float2*>(probability + at) = make_float2(p[0], p[1]);
            } else if (writes) {
                mask[at] = out[0];
                if (exists[1]) mask[at + 1] = out[1];
                if (probability != nullptr) {
                    probability[at] = p[0];
                    if (exists[1]) probability[at + 1] = p[1];
                }
            }
            at += width;
            field_at += field_width;
        }
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            base_before[c] = base[c];
            guide_before[c] = guide[c];
            spread_above[c] = spread_before[c];
            spread_before[c] = spread[c];
        }
    };

    in_small.fetch(small, small_rows[0].lower, even_rows);
    in_small.fetch(small, small_rows[1].lower, odd_rows);
#pragma unroll 1
    for (int k = 0; k < count + 2; k += 2) {
        step(k, even_rows);
        step(k + 1, odd_rows);
    }
}

}  // namespace

// small: the tile network's map of grid_height x grid_width, kept as tiles of tile_height x tile_width in reading order
// (one tile of the whole size: a plain map). large: (large_height, large_width). field: bits or null.
// order: 0 cgnr_then_fuse, 1 fuse_then_cgnr, 2 cgnr_only; refine: 0 leaves CGNR out.
// mask: (height, width), 0 or 255; probability: (height, width) or null.
// A block makes `rows` rows (at most 64) of blockDim.x / 32 strips.
extern "C" __global__ void __launch_bounds__(256, kBlocks)
    frt_fuse(const float* __restrict__ small, const float* __restrict__ large, const uint8_t* __restrict__ field,
             uint8_t* __restrict__ mask, float* __restrict__ probability, int64_t height, int64_t width,
             int64_t grid_height, int64_t grid_width, int64_t tile_height, int64_t tile_width, int64_t large_height,
             int64_t large_width, float threshold, float weight, int32_t order, int32_t refine, int32_t rows) {
    __shared__ Row small_rows[kMostRows + 5], large_rows[kMostRows + 5];
    const int64_t top = static_cast<int64_t>(blockIdx.y) * rows;
    const int count = static_cast<int>(frt::smaller<int64_t>(rows, height - top));
    const Map small_map = {grid_height, grid_width, tile_height, tile_width};
    const Map large_map = {large_height, large_width, large_height, large_width};
#pragma unroll 1
    for (int k = static_cast<int>(threadIdx.x); k < count + 5; k += static_cast<int>(blockDim.x)) {
        const int64_t y = top - 1 + k;
        const bool seen = y >= 0 && y < height && k < count + 2;  // further ones are only looked at ahead of time
        const bool first = y == 0 || k == 0;
        small_rows[k] = seen ? small_map.target_row(y, height, first) : Row{0, 0, 0.0f, 0};
        large_rows[k] = seen ? large_map.target_row(y, height, first) : Row{0, 0, 0.0f, 0};
    }
    __syncthreads();

    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int64_t strip = static_cast<int64_t>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    if (strip * kStrip >= width) return;  // the whole warp
    const int64_t left = strip * kStrip - 2 + 2 * lane;
    const Columns<false> in_small(small_map, left, width);
    const Columns<true> in_large(large_map, left, width);
    const float guide_threshold = refine ? threshold : 2.0f;  // no probability reaches 2
    const auto go = [&](auto walk) {
        walk(small, large, small_rows, large_rows, in_small, in_large, field, mask, probability, width, left, lane, top,
             count, threshold, guide_threshold, weight);
    };
    if (order == 0) go(walk<0>);
    if (order == 1) go(walk<1>);
    if (order == 2) go(walk<2>);
}
