#include "fundusrt/field_of_view.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "imaging/morphology.hpp"
#include "imaging/resize.hpp"
#include "imaging/shared_kernels.hpp"

namespace fundusrt {

namespace {

// The numbers of fundusrt/field_of_view.py.
constexpr int64_t kFineSide = 1024, kCoarseSide = 256;
constexpr int kOctave = 31, kDark = 2 * kOctave;
constexpr int kThresholds[] = {3, 6, 12, 24, 36, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208};
constexpr double kLeastBrightEnd = 1020, kLeastRating = 0.2 * kOctave, kBand = 0.012, kTab = 0.025, kGap = 0.03;
constexpr double kLeastSolidity = 0.85, kLeastField = 0.02;

int64_t reduction(int64_t height, int64_t width, int64_t side) {
    const int64_t factor =
        std::min((std::max(height, width) + side - 1) / side, std::max<int64_t>(1, std::min(height, width) / 8));
    return factor > 3 ? factor + factor % 2 : factor;
}

// Half to even, as Python rounds.
int64_t rounded(double value) {
    return static_cast<int64_t>(std::nearbyint(value));
}

// NumPy's percentile, linear between the two neighbours in rank.
template <typename T>
double percentile_99(Values<T> values) {
    const double place = static_cast<double>(values.size() - 1) * 0.99, low = std::floor(place);
    const auto at = values.begin() + static_cast<ptrdiff_t>(low);
    std::nth_element(values.begin(), at, values.end());
    const double a = *at, b = at + 1 == values.end() ? a : *std::min_element(at + 1, values.end()), t = place - low;
    return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t);
}

Bytes brightest_channel(const Bytes& codes) {
    if (codes.channels == 1) return codes;
    Bytes made(codes.height, codes.width);
    for (int64_t i = 0; i < codes.pixels(); ++i) {
        const uint8_t* p = codes.data() + 3 * i;
        made.data()[i] = std::max(std::max(p[0], p[1]), p[2]);
    }
    return made;
}

Bytes log_brightness(const Bytes& pixels, int64_t factor) {
    static const auto table = [] {
        std::array<uint8_t, 256> made{};
        for (size_t i = 0; i < 256; ++i)
            made[i] = static_cast<uint8_t>(rounded(kOctave * std::log2(static_cast<double>(i + 1))));
        return made;
    }();
    const int64_t step = std::max<int64_t>(1, factor / 2);
    const int64_t height = pixels.height / factor * factor, width = pixels.width / factor * factor;
    Bytes samples(height / step, width / step, pixels.channels);
    // OpenCV's nearest neighbour: the ratio goes through a division twice.
    const double down = 1.0 / (static_cast<double>(samples.height) / static_cast<double>(height));
    const double across = 1.0 / (static_cast<double>(samples.width) / static_cast<double>(width));
    const auto places = [](int64_t count, double ratio, int64_t source) {
        std::vector<int64_t> made;
        for (int64_t i = 0; i < count; ++i)
            made.push_back(std::min(static_cast<int64_t>(std::floor(static_cast<double>(i) * ratio)), source - 1));
        return made;
    };
    const std::vector<int64_t> rows = places(samples.height, down, height),
                               columns = places(samples.width, across, width);
    for (int64_t y = 0; y < samples.height; ++y) {
        const uint8_t* from = pixels.row(rows[static_cast<size_t>(y)]);
        uint8_t* to = samples.row(y);
        for (const int64_t column : columns)
            for (int c = 0; c < pixels.channels; ++c) *to++ = table[from[column * pixels.channels + c]];
    }
    return brightest_channel(averaged(samples, factor / step));
}

Bytes log_brightness(const Words& pixels, int64_t factor) {
    const Words reduced = averaged(pixels, factor);
    Values<float> values(reduced.values.begin(), reduced.values.end());
    const auto scale = static_cast<float>(255 / std::max(percentile_99(values), kLeastBrightEnd));
    Bytes codes(reduced.height, reduced.width, reduced.channels);
    for (size_t i = 0; i < values.size(); ++i)
        codes.values[i] = static_cast<uint8_t>(
            std::nearbyint(static_cast<float>(kOctave) * std::log2(std::min(values[i] * scale, 255.0f) + 1.0f)));
    return brightest_channel(codes);
}

bool everywhere(const Mask& mask, uint8_t value) {
    return std::all_of(mask.values.begin(), mask.values.end(), [value](uint8_t v) { return v == value; });
}

int64_t count_on(const Mask& mask) {
    return mask.pixels() - std::count(mask.values.begin(), mask.values.end(), uint8_t{0});
}

// Opens with a disc by distances; the shape is taken to go on beyond the frame's border.
Mask without_tabs(const Mask& mask, double radius) {
    const auto limit = static_cast<float>(radius);
    if (count_on(mask) == mask.pixels()) return mask;
    const Map depth = distance_to_off(mask);
    Mask outside_core(mask.height, mask.width), made(mask.height, mask.width);
    for (size_t i = 0; i < mask.values.size(); ++i) outside_core.values[i] = depth.values[i] > limit ? 0 : 255;
    if (everywhere(outside_core, 255)) {
        std::fill(made.values.begin(), made.values.end(), uint8_t{0});
        return made;
    }
    const Map away = distance_to_off(outside_core);
    for (size_t i = 0; i < mask.values.size(); ++i) made.values[i] = away.values[i] <= limit ? mask.values[i] : 0;
    return made;
}

// Closes dark gaps; the frame's border closes none.
Mask closed(const Mask& mask, int64_t gap) {
    Mask padded(mask.height + 2 * gap, mask.width + 2 * gap), made(mask.height, mask.width);
    std::fill(padded.values.begin(), padded.values.end(), uint8_t{0});
    for (int64_t y = 0; y < mask.height; ++y) std::copy_n(mask.row(y), mask.width, padded.row(y + gap) + gap);
    const Mask joined = eroded(dilated(padded, gap / 2), gap / 2);
    for (int64_t y = 0; y < mask.height; ++y) std::copy_n(joined.row(y + gap) + gap, mask.width, made.row(y));
    return made;
}

// 0/255 outline of what is brighter than the threshold.
Mask outline(const Bytes& blurred, int threshold) {
    const auto side = static_cast<double>(std::max(blurred.height, blurred.width));
    Mask mask(blurred.height, blurred.width);
    for (size_t i = 0; i < mask.values.size(); ++i) mask.values[i] = blurred.values[i] > threshold ? 255 : 0;
    const Mask opened = dilated(eroded(mask, 1), 1);
    const int64_t gap = 2 * rounded(kGap * side / 2) + 1;
    mask = without_tabs(filled_pieces(closed(opened, gap)), kTab * side);
    Mask hull = filled_hull(mask);
    return static_cast<double>(count_on(mask)) >= kLeastSolidity * static_cast<double>(count_on(hull)) ? hull : mask;
}

struct Moments {
    double count = 0, sum = 0, squares = 0;
    void add(uint8_t value) {
        count += 1;
        sum += value;
        squares += static_cast<double>(value) * value;
    }
    double mean() const { return sum * (1.0 / count); }
    double deviation() const { return std::sqrt(std::max(squares * (1.0 / count) - mean() * mean(), 0.0)); }
};

// Rates an outline by the rise from a band outside to a band inside its rim; 0 where there is no rim.
double rim_rating(const Bytes& codes, const Mask& field) {
    const auto side = static_cast<double>(std::max(field.height, field.width));
    const int64_t reach = rounded(std::max(2.0, kBand * side));
    const Mask core = eroded(field, reach), wide = dilated(field, reach);
    Moments inside, outside;
    for (size_t i = 0; i < field.values.size(); ++i) {
        if (field.values[i] != 0 && core.values[i] == 0) inside.add(codes.values[i]);
        if (field.values[i] == 0 && wide.values[i] != 0) outside.add(codes.values[i]);
    }
    const double share = static_cast<double>(count_on(field)) / static_cast<double>(field.pixels());
    if (share < kLeastField || inside.count == 0 || outside.count == 0) return 0.0;
    return inside.mean() - outside.mean() - 2 * outside.deviation();
}

// Undoes a reduction smoothly; the cut rows and columns repeat the last ones.
Mask enlarged(const Mask& field, int64_t factor, int64_t height, int64_t width) {
    const Mask large = resize(field, field.height * factor, field.width * factor, Interpolation::kBilinear);
    Mask made(height, width);
    for (int64_t y = 0; y < height; ++y) {
        const uint8_t* from = large.row(std::min(y, large.height - 1));
        for (int64_t x = 0; x < width; ++x) made.row(y)[x] = from[std::min(x, large.width - 1)] > 127 ? 255 : 0;
    }
    return made;
}

template <typename T>
Mask find(const Array<T>& pixels) {
    Mask all(pixels.height, pixels.width);
    const int64_t factor = reduction(pixels.height, pixels.width, kFineSide);
    const Bytes fine = log_brightness(pixels, factor);
    if (*std::max_element(fine.values.begin(), fine.values.end()) <= kDark) {
        std::fill(all.values.begin(), all.values.end(), uint8_t{0});
        return all;
    }
    const Bytes coarse = averaged(fine, reduction(fine.height, fine.width, kCoarseSide));
    const Bytes blurred = blurred_3x3(coarse);
    const double bright_end = percentile_99(coarse.values);
    double best_rating = 0.0;
    int best_threshold = 0;
    for (const int threshold : kThresholds) {
        if (threshold > bright_end - kOctave) continue;
        const double rating = rim_rating(coarse, outline(blurred, threshold));
        if (rating > best_rating) {
            best_rating = rating;
            best_threshold = threshold;
        }
    }
    if (best_rating < kLeastRating) {
        std::fill(all.values.begin(), all.values.end(), uint8_t{255});
        return all;
    }
    return enlarged(outline(blurred_3x3(fine), best_threshold), factor, pixels.height, pixels.width);
}

}  // namespace

Mask find_field_of_view(const Bytes& pixels) {
    return find(pixels);
}
Mask find_field_of_view(const Words& pixels) {
    return find(pixels);
}

}  // namespace fundusrt
