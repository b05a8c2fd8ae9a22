#include "imaging/components.hpp"

#include <algorithm>

namespace fundusrt {

namespace {

size_t root(std::vector<size_t>& parents, size_t label) {
    while (parents[label] != label) label = parents[label] = parents[parents[label]];
    return label;
}

}  // namespace

std::vector<Run> connected_runs(const Mask& mask, bool on, bool diagonal) {
    std::vector<Run> runs;
    std::vector<size_t> parents;
    const int64_t reach = diagonal ? 1 : 0;
    size_t above = 0, above_end = 0;
    for (int64_t y = 0; y < mask.height; ++y) {
        const size_t first = runs.size();
        const uint8_t* row = mask.row(y);
        for (int64_t x = 0; x < mask.width; ++x) {
            if ((row[x] != 0) != on) continue;
            const int64_t begin = x;
            while (x < mask.width && (row[x] != 0) == on) ++x;
            runs.push_back({y, begin, x, parents.size()});
            parents.push_back(parents.size());
        }
        for (size_t i = first; i < runs.size(); ++i) {
            while (above < above_end && runs[above].end + reach <= runs[i].begin) ++above;
            for (size_t k = above; k < above_end && runs[k].begin < runs[i].end + reach; ++k) {
                const size_t a = root(parents, runs[k].label), b = root(parents, runs[i].label);
                parents[std::max(a, b)] = std::min(a, b);
            }
        }
        above = first;
        above_end = runs.size();
    }
    for (Run& run : runs) run.label = root(parents, run.label);
    return runs;
}

}  // namespace fundusrt
