// NumPy's .npy and one-array .npz files, of uint8 alone: golden vectors.
#pragma once

#include <string>

#include "fundusrt/array.hpp"

namespace fundusrt {

// (H, W) or (H, W, C) uint8. Throws FormatError.
Bytes npy_bytes(const std::string& content);

}  // namespace fundusrt
