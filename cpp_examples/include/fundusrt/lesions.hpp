// The lesion table: one row per 8-connected component of a mask. Reference: fundusrt/lesions.py.
#pragma once

#include <vector>

#include "fundusrt/array.hpp"

namespace fundusrt {

struct Lesion {
    int64_t area_px = 0;
    double area_mm2 = -1;                    // negative where the image has no known scale
    int64_t y0 = 0, x0 = 0, y1 = 0, x1 = 0;  // half-open box
    double centroid_y = 0, centroid_x = 0;
    double mean_probability = 0;
};

// By falling area; equal areas in reading order of their boxes. mm_per_px 0: unknown.
std::vector<Lesion> find_lesions(const Mask& mask, const Map& probability, double mm_per_px = 0.0);

}  // namespace fundusrt
