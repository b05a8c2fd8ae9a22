#include "fundusrt/lesions.hpp"

#include <algorithm>
#include <tuple>

#include "imaging/components.hpp"

namespace fundusrt {

namespace {

struct Sums {
    int64_t area = 0, y0 = 0, x0 = 0, y1 = 0, x1 = 0, sum_y = 0, sum_x = 0;
    double probability = 0;
};

}  // namespace

std::vector<Lesion> find_lesions(const Mask& mask, const Map& probability, double mm_per_px) {
    const std::vector<Run> runs = connected_runs(mask, true, true);
    if (runs.empty()) return {};
    const int64_t top = runs.front().y;
    int64_t left = mask.width;
    for (const Run& run : runs) left = std::min(left, run.begin);
    std::vector<Sums> sums(runs.size());
    // In reading order, so that the sums of probabilities round as NumPy's do.
    for (const Run& run : runs) {
        Sums& sum = sums[run.label];
        const int64_t count = run.end - run.begin;
        if (sum.area == 0) {
            sum.y0 = run.y;
            sum.x0 = run.begin;
        }
        sum.area += count;
        sum.x0 = std::min(sum.x0, run.begin);
        sum.x1 = std::max(sum.x1, run.end);
        sum.y1 = run.y + 1;
        // Relative to the box of all components, as the reference counts.
        sum.sum_y += count * (run.y - top);
        sum.sum_x += count * (run.begin + run.end - 1 - 2 * left) / 2;
        const float* row = probability.row(run.y);
        for (int64_t x = run.begin; x < run.end; ++x) sum.probability += static_cast<double>(row[x]);
    }
    std::vector<Lesion> lesions;
    for (const Sums& sum : sums) {
        if (sum.area == 0) continue;
        const auto area = static_cast<double>(sum.area);
        Lesion lesion;
        lesion.area_px = sum.area;
        if (mm_per_px > 0) lesion.area_mm2 = area * (mm_per_px * mm_per_px);
        lesion.y0 = sum.y0;
        lesion.x0 = sum.x0;
        lesion.y1 = sum.y1;
        lesion.x1 = sum.x1;
        lesion.centroid_y = static_cast<double>(sum.sum_y) / area + static_cast<double>(top);
        lesion.centroid_x = static_cast<double>(sum.sum_x) / area + static_cast<double>(left);
        lesion.mean_probability = sum.probability / area;
        lesions.push_back(lesion);
    }
    std::stable_sort(lesions.begin(), lesions.end(), [](const Lesion& a, const Lesion& b) {
        return std::tuple(-a.area_px, a.y0, a.x0, a.y1, a.x1) < std::tuple(-b.area_px, b.y0, b.x0, b.y1, b.x1);
    });
    return lesions;
}

}  // namespace fundusrt
