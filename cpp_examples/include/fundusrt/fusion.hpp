// Fusion of the whole-image and the tile probability map. Reference: fundusrt/fusion.py.
#pragma once

#include "fundusrt/array.hpp"
#include "fundusrt/manifest.hpp"

namespace fundusrt {

// Turns the tile branch's map `p` into the fused probability, whose `>= threshold` is the mask. Throws
// Error(kInvalidInput): shapes differ, or a value is not a number in [0, 1].
void fuse_into(Map& p, const Map& p_large, const FusionSpec& spec);

}  // namespace fundusrt
