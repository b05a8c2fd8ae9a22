// Connected components of a mask as runs of pixels.
#pragma once

#include <vector>

#include "fundusrt/array.hpp"

namespace fundusrt {

// A row's pixels [begin, end) of one kind; runs with equal labels are connected. A label is below the number of runs.
struct Run {
    int64_t y, begin, end;
    size_t label;
};

// The runs of pixels that are on (or off), in reading order; `diagonal`: corners connect too.
std::vector<Run> connected_runs(const Mask& mask, bool on, bool diagonal);

}  // namespace fundusrt
