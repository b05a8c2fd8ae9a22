#include "fundusrt/fusion.hpp"

#include <array>
#include <utility>
#include <vector>

#include "fundusrt/cgnr.hpp"
#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

void check(const Map& map, const char* name) {
    int outside = 0;
    for (const float value : map.values) outside |= !(value >= 0.0f) | !(value <= 1.0f);  // true for NaN
    // Before anything else: CGNR would hide a NaN in the one map behind a number from the other.
    if (outside != 0)
        throw_invalid_input(std::string("probability map ") + name, "values outside [0, 1], or no numbers",
                            "values in [0, 1]", "apply the sigmoid to logits; look for the NaN in the network");
}

// p + w (p_large - p), so that equal maps stay exactly equal.
void blend_row(float* p, const float* large, float weight, int64_t width) {
    for (int64_t x = 0; x < width; ++x) {
        const float difference = (large[x] - p[x]) * weight;
        p[x] += difference;
    }
}

// One row of a base mask, with an off pixel at either end.
using Line = std::vector<uint8_t>;

void threshold_row(const Map& p, int64_t y, float threshold, Line& line) {
    const float* row = p.row(y);
    for (int64_t x = 0; x < p.width; ++x) line[static_cast<size_t>(x) + 1] = row[x] >= threshold ? 1 : 0;
}

// The parallel pass of CGNR with the fusion around it, row by row: three rows of the base mask are all it needs.
void fuse_parallel(Map& p, const Map& p_large, const FusionSpec& spec) {
    const auto threshold = static_cast<float>(spec.threshold), weight = static_cast<float>(spec.w_large);
    const int64_t height = p.height, width = p.width;
    const size_t count = static_cast<size_t>(width) + 2;
    Line above(count, 0), here(count, 0), below(count, 0), either(count, 0);
    const auto prepare = [&](int64_t y, Line& line) {
        if (y >= height) {
            line.assign(count, 0);
            return;
        }
        if (spec.order == FusionOrder::kFuseThenCgnr) blend_row(p.row(y), p_large.row(y), weight, width);
        threshold_row(p, y, threshold, line);
    };
    prepare(0, here);
    for (int64_t y = 0; y < height; ++y) {
        prepare(y + 1, below);
        for (size_t x = 0; x < count; ++x) either[x] = above[x] | here[x] | below[x];
        float* to = p.row(y);
        const float* guide = p_large.row(y);
        for (int64_t x = 0; x < width; ++x) {
            const size_t at = static_cast<size_t>(x) + 1;
            const uint8_t near = either[at - 1] | either[at] | either[at + 1];
            const bool switched = (near & (here[at] ^ 1U)) != 0 && guide[x] >= threshold;
            to[x] = switched ? guide[x] : to[x];
        }
        if (spec.order == FusionOrder::kCgnrThenFuse) blend_row(to, guide, weight, width);
        above.swap(here);
        here.swap(below);
    }
}

void fuse_whole(Map& p, const Map& p_large, const FusionSpec& spec) {
    const auto threshold = static_cast<float>(spec.threshold), weight = static_cast<float>(spec.w_large);
    const auto blend = [&] {
        for (int64_t y = 0; y < p.height; ++y) blend_row(p.row(y), p_large.row(y), weight, p.width);
    };
    if (spec.order == FusionOrder::kFuseThenCgnr) blend();
    if (spec.cgnr_enabled) {
        Mask base(p.height, p.width), guide(p.height, p.width);
        for (size_t i = 0; i < p.values.size(); ++i) {
            base.values[i] = p.values[i] >= threshold ? 255 : 0;
            guide.values[i] = p_large.values[i] >= threshold ? 255 : 0;
        }
        const Mask refined = cgnr(base, guide, spec.cgnr_mode);
        for (size_t i = 0; i < p.values.size(); ++i)
            if (refined.values[i] != base.values[i]) p.values[i] = p_large.values[i];
    }
    if (spec.order == FusionOrder::kCgnrThenFuse) blend();
}

}  // namespace

void fuse_into(Map& p, const Map& p_large, const FusionSpec& spec) {
    if (p.height != p_large.height || p.width != p_large.width)
        throw_invalid_input("probability maps", "two shapes", "one shape", "upsample both to the image's size first");
    check(p_large, "p_large");
    check(p, "p_small");
    if (spec.cgnr_enabled && spec.cgnr_mode == CgnrMode::kParallel)
        fuse_parallel(p, p_large, spec);
    else
        fuse_whole(p, p_large, spec);
}

}  // namespace fundusrt
