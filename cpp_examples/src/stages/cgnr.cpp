#include "fundusrt/cgnr.hpp"

#include <algorithm>
#include <vector>

#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

void check(const Mask& mask, const char* name) {
    for (const uint8_t value : mask.values)
        if (value != 0 && value != 255)
            throw_invalid_input(name, "value " + std::to_string(value), "only 0 and 255", "threshold it first");
}

// 255 where one of the eight neighbours of (y, x) is on; outside the mask counts as off.
bool touched(const Mask& mask, int64_t y, int64_t x) {
    for (int64_t j = std::max<int64_t>(y - 1, 0); j <= std::min(y + 1, mask.height - 1); ++j)
        for (int64_t i = std::max<int64_t>(x - 1, 0); i <= std::min(x + 1, mask.width - 1); ++i)
            if (mask.row(j)[i] != 0) return true;
    return false;
}

Mask one_pass(const Mask& base, const Mask& guide, bool sees_itself) {
    Mask made = base;
    const Mask& seen = sees_itself ? made : base;
    for (int64_t y = 0; y < base.height; ++y)
        for (int64_t x = 0; x < base.width; ++x)
            if (base.row(y)[x] == 0 && guide.row(y)[x] != 0 && touched(seen, y, x)) made.row(y)[x] = 255;
    return made;
}

// Floods from the base through the guide: what repeated passes end in.
Mask converged(const Mask& base, const Mask& guide) {
    Mask made = base;
    std::vector<int64_t> open;
    for (int64_t i = 0; i < base.pixels(); ++i)
        if (base.data()[i] != 0) open.push_back(i);
    while (!open.empty()) {
        const int64_t y = open.back() / base.width, x = open.back() % base.width;
        open.pop_back();
        for (int64_t j = std::max<int64_t>(y - 1, 0); j <= std::min(y + 1, base.height - 1); ++j)
            for (int64_t i = std::max<int64_t>(x - 1, 0); i <= std::min(x + 1, base.width - 1); ++i) {
                if (made.row(j)[i] != 0 || guide.row(j)[i] == 0) continue;
                made.row(j)[i] = 255;
                open.push_back(j * base.width + i);
            }
    }
    return made;
}

}  // namespace

Mask cgnr(const Mask& base, const Mask& guide, CgnrMode mode) {
    if (base.height != guide.height || base.width != guide.width || base.channels != 1 || guide.channels != 1)
        throw_invalid_input("guide mask", "another shape", "that of the base mask", "resize the guide mask first");
    check(base, "base mask");
    check(guide, "guide mask");
    if (mode == CgnrMode::kConverge) return converged(base, guide);
    return one_pass(base, guide, mode == CgnrMode::kRaster);
}

}  // namespace fundusrt
