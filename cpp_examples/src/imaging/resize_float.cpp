// Bilinear resizing of float32 maps as OpenCV does it on x86-64 with Intel's primitives: the place of a pixel exact,
// its fraction rounded once to float32, first along the row, then down the column, each step low + fraction * (high -
// low) with the multiplication and the addition fused. The device code is in fuse.cu; this is the same on the CPU.
#include <algorithm>
#include <cmath>
#include <vector>

#include "imaging/resize.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#define FUNDUSRT_HAS_FMA_PATH 1
#define FUNDUSRT_FMA __attribute__((target("avx2,fma")))
#else
#define FUNDUSRT_FMA
#endif

namespace fundusrt {

namespace {

struct Place {
    int64_t low, high;
    float weight;
};

Place place(int64_t i, int64_t source, int64_t target) {
    const int64_t twice = (2 * i + 1) * source - target, whole = 2 * target;
    Place p = {0, 0, 0.0f};
    if (twice > 0) {
        p.low = twice / whole;
        p.weight = static_cast<float>(static_cast<double>(twice - p.low * whole) / static_cast<double>(whole));
    }
    p.low = std::min(p.low, source - 1);
    p.high = std::min(p.low + 1, source - 1);
    return p;
}

struct Columns {
    std::vector<int32_t> low, high;
    std::vector<float> weight;

    Columns(int64_t source, int64_t target) {
        for (int64_t x = 0; x < target; ++x) {
            const Place p = place(x, source, target);
            low.push_back(static_cast<int32_t>(p.low));
            high.push_back(static_cast<int32_t>(p.high));
            weight.push_back(p.weight);
        }
    }
};

// One body for both paths: with the attribute the compiler has the instruction, without it std::fma is a call.
#define FUNDUSRT_ROWS(name, attributes)                                                                           \
    attributes void across_##name(const float* source, const Columns& columns, float* line, int64_t width) {      \
        const int32_t *low = columns.low.data(), *high = columns.high.data();                                     \
        const float* weight = columns.weight.data();                                                              \
        for (int64_t x = 0; x < width; ++x) {                                                                     \
            const float first = source[low[x]];                                                                   \
            line[x] = __builtin_fmaf(weight[x], source[high[x]] - first, first);                                  \
        }                                                                                                         \
    }                                                                                                             \
    attributes void down_##name(const float* upper, const float* lower, float weight, float* to, int64_t width) { \
        for (int64_t x = 0; x < width; ++x) to[x] = __builtin_fmaf(weight, lower[x] - upper[x], upper[x]);        \
    }

FUNDUSRT_ROWS(anywhere, )
#ifdef FUNDUSRT_HAS_FMA_PATH
FUNDUSRT_ROWS(fma, FUNDUSRT_FMA)
#endif

}  // namespace

void resize_bilinear_rows(const Map& map, float* into, int64_t height, int64_t width, int64_t first, int64_t last) {
    auto across = across_anywhere;
    auto down = down_anywhere;
#ifdef FUNDUSRT_HAS_FMA_PATH
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        across = across_fma;
        down = down_fma;
    }
#endif
    const Columns columns(map.width, width);
    std::vector<float> lines[2] = {std::vector<float>(static_cast<size_t>(width)),
                                   std::vector<float>(static_cast<size_t>(width))};
    int64_t held[2] = {-1, -1};
    for (int64_t y = first; y < last; ++y) {
        const Place p = place(y, map.height, height);
        // Source rows come in rising order: a row that was the lower one is kept as the upper one.
        if (held[0] != p.low && held[1] == p.low) {
            lines[0].swap(lines[1]);
            std::swap(held[0], held[1]);
        }
        const int64_t wanted[2] = {p.low, p.high};
        for (size_t k = 0; k < 2; ++k) {
            if (held[k] == wanted[k]) continue;
            across(map.row(wanted[k]), columns, lines[k].data(), width);
            held[k] = wanted[k];
        }
        down(lines[0].data(), lines[1].data(), p.weight, into + (y - first) * width, width);
    }
}

void resize_bilinear(const Map& map, float* into, int64_t height, int64_t width) {
    resize_bilinear_rows(map, into, height, width, 0, height);
}

Map resize_bilinear(const Map& map, int64_t height, int64_t width) {
    if (map.height == height && map.width == width) return map;
    Map made(height, width);
    resize_bilinear(map, made.data(), height, width);
    return made;
}

}  // namespace fundusrt
