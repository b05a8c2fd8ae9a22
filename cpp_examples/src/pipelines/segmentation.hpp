// What the segmentation pipelines do with a probability map at the image's size.
#pragma once

#include "fundusrt/image.hpp"
#include "fundusrt/result.hpp"

namespace fundusrt {

// 0 outside the field of view; the mask is `probability >= threshold`.
void make_mask(Result& result, const FundusImage& eye, double threshold);

// No probability, no mask.
Result ungradable(Result result, const FundusImage& eye);

}  // namespace fundusrt
