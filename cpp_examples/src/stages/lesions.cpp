#include "fundusrt/lesions.hpp"

#include <algorithm>
#include <tuple>

namespace fundusrt {

namespace {

// A row's pixels [begin, end) that are on, and the component they belong to.
struct Run {
    int64_t y, begin, end;
    size_t label;
};

class Components {
  public:
    explicit Components(const Mask& mask) {
        size_t above = 0, above_end = 0;
        for (int64_t y = 0; y < mask.height; ++y) {
            const size_t first = runs_.size();
            const uint8_t* row = mask.row(y);
            for (int64_t x = 0; x < mask.width; ++x) {
                if (row[x] == 0) continue;
                const int64_t begin = x;
                while (x < mask.width && row[x] != 0) ++x;
                runs_.push_back({y, begin, x, parents_.size()});
                parents_.push_back(parents_.size());
            }
            for (size_t i = first; i < runs_.size(); ++i) {
                while (above < above_end && runs_[above].end < runs_[i].begin) ++above;
                for (size_t k = above; k < above_end && runs_[k].begin <= runs_[i].end; ++k)
                    join(runs_[k].label, runs_[i].label);
            }
            above = first;
            above_end = runs_.size();
        }
        for (Run& run : runs_) run.label = root(run.label);
    }

    const std::vector<Run>& runs() const { return runs_; }

  private:
    size_t root(size_t label) {
        while (parents_[label] != label) label = parents_[label] = parents_[parents_[label]];
        return label;
    }

    void join(size_t a, size_t b) {
        a = root(a);
        b = root(b);
        parents_[std::max(a, b)] = std::min(a, b);
    }

    std::vector<Run> runs_;
    std::vector<size_t> parents_;
};

struct Sums {
    int64_t area = 0, y0 = 0, x0 = 0, y1 = 0, x1 = 0, sum_y = 0, sum_x = 0;
    double probability = 0;
};

}  // namespace

std::vector<Lesion> find_lesions(const Mask& mask, const Map& probability, double mm_per_px) {
    const Components components(mask);
    const auto& runs = components.runs();
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
