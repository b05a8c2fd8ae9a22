// Where in the frame the camera saw the eye, from the pixels alone. Reference and rule: fundusrt/field_of_view.py.
#pragma once

#include "fundusrt/array.hpp"

namespace fundusrt {

// 255 inside. All 255 where no dark surround is found; all 0 where nothing is seen.
Mask find_field_of_view(const Bytes& pixels);
Mask find_field_of_view(const Words& pixels);

}  // namespace fundusrt
