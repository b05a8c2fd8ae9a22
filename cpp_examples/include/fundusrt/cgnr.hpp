// Cross-Guided Neighbourhood Refinement (CMWNet paper, Methods). Reference: fundusrt/cgnr.py.
#pragma once

#include "fundusrt/array.hpp"
#include "fundusrt/manifest.hpp"

namespace fundusrt {

// Switches on each pixel that is off in `base`, on in `guide`, and has one of its eight neighbours on in `base`.
// kParallel: one pass over the unchanged base; kRaster: one pass in reading order that sees its own changes; kConverge:
// parallel passes until nothing changes. Masks are 0/255. Throws Error(kInvalidInput): shapes differ, other values.
Mask cgnr(const Mask& base, const Mask& guide, CgnrMode mode);

}  // namespace fundusrt
