// PNG files: what the examples read and write, and the golden images of bundles.
#pragma once

#include <string>
#include <variant>

#include "fundusrt/array.hpp"

namespace fundusrt {

// (H, W) grey or (H, W, 3) RGB, 8 or 16 bit as stored. Palettes become RGB, transparency is dropped, colour profiles
// and gamma are not applied. Throws Error(kInvalidInput).
std::variant<Bytes, Words> decode_png(const std::string& content, const std::string& source);
std::variant<Bytes, Words> read_png(const std::string& path);

// 8-bit grey or RGB. Throws Error(kOutput); the file appears whole or not at all.
void write_png(const std::string& path, const Bytes& image);

}  // namespace fundusrt
