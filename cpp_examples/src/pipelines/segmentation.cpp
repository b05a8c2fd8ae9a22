#include "pipelines/segmentation.hpp"

#include <algorithm>

namespace fundusrt {

void make_mask(Result& result, const FundusImage& eye, double threshold) {
    const auto limit = static_cast<float>(threshold);
    result.mask = Mask(eye.height(), eye.width());
    float* p = result.probability.data();
    const uint8_t* inside = eye.fov.data();
    uint8_t* mask = result.mask.data();
    for (int64_t i = 0; i < result.mask.pixels(); ++i) {
        p[i] = inside[i] != 0 ? p[i] : 0.0f;
        mask[i] = p[i] >= limit ? 255 : 0;
    }
}

Result ungradable(Result result, const FundusImage& eye) {
    result.mask = Mask(eye.height(), eye.width());
    result.probability = Map(eye.height(), eye.width());
    std::fill(result.mask.values.begin(), result.mask.values.end(), uint8_t{0});
    std::fill(result.probability.values.begin(), result.probability.values.end(), 0.0f);
    return result;
}

}  // namespace fundusrt
