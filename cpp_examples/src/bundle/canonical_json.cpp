// Python's json.dumps(sort_keys=True, separators=(",", ":"), ensure_ascii=True), byte for byte.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "bundle/json_schema.hpp"

namespace fundusrt {

namespace {

using nlohmann::json;

// repr(float): the shortest digits that read back as the same number; an exponent below -4 and from 16 on.
std::string python_float(double value) {
    char buffer[64];
    const auto made = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
    const std::string text(buffer, made.ptr);
    const size_t mark = text.find('e');
    const int exponent = std::atoi(text.c_str() + mark + 1);
    std::string digits, sign = text[0] == '-' ? "-" : "";
    for (const char c : text.substr(0, mark))
        if (c >= '0' && c <= '9') digits += c;
    if (exponent < -4 || exponent >= 16) {
        std::snprintf(buffer, sizeof buffer, "e%+03d", exponent);
        return sign + digits[0] + (digits.size() > 1 ? "." + digits.substr(1) : "") + buffer;
    }
    if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
    const size_t whole = static_cast<size_t>(exponent) + 1;
    if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
    return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

void write(const json& value, std::string& out) {
    if (value.is_object()) {
        out += '{';
        bool first = true;
        for (const auto& [name, entry] : value.items()) {  // nlohmann keeps objects sorted by their bytes
            if (!first) out += ',';
            first = false;
            write(json(name), out);
            out += ':';
            write(entry, out);
        }
        out += '}';
    } else if (value.is_array()) {
        out += '[';
        for (size_t i = 0; i < value.size(); ++i) {
            if (i != 0) out += ',';
            write(value[i], out);
        }
        out += ']';
    } else if (value.is_number_float()) {
        out += python_float(value.get<double>());
    } else if (value.is_string()) {
        out += value.dump(-1, ' ', true);
    } else {
        out += value.dump();
    }
}

}  // namespace

std::string canonical_json(const json& document) {
    std::string out;
    write(document, out);
    return out;
}

}  // namespace fundusrt
