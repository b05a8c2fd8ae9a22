// What a pipeline returns.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fundusrt/array.hpp"
#include "fundusrt/lesions.hpp"

namespace fundusrt {

struct Result {
    // Segmentation: mask and probability at the image's size, 0 outside the field of view.
    Mask mask;
    Map probability;
    std::vector<Lesion> lesions;

    // Enhancement: (H, W, 3) RGB at the image's size, and its mean absolute difference inside the field of view.
    Bytes image;
    double mean_change = 0.0;

    // False: nothing could be seen; the mask is empty, the image the original, and `reason` says why.
    bool gradable = true;
    std::string reason;

    int64_t field_of_view_px = 0;
    // Tiles of the grid (0 where none was cut).
    int64_t tiles = 0;
    // Milliseconds of each stage, in the order they first ran.
    std::vector<std::pair<std::string, double>> timings_ms;
    // What ran, e.g. "onnxruntime:CPUExecutionProvider".
    std::string provider;
    // Identity of the bundle.
    std::string bundle_sha256;
};

}  // namespace fundusrt
