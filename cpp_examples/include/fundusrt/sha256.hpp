// SHA-256 (FIPS 180-4).
#pragma once

#include <cstddef>
#include <string>

namespace fundusrt {

// 64 lower-case hexadecimal digits.
std::string sha256(const void* data, size_t size);
inline std::string sha256(const std::string& bytes) {
    return sha256(bytes.data(), bytes.size());
}

}  // namespace fundusrt
