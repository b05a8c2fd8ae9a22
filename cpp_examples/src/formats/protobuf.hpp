// Walking a protocol-buffers message, field by field, without knowing its schema.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fundusrt {

// One field: its number, wire type, value (number, or bytes for length-delimited and fixed ones), and all its bytes.
struct ProtoField {
    uint32_t number = 0;
    int wire = 0;
    uint64_t value = 0;
    std::string_view bytes;
    std::string_view whole;
};

// Throws FormatError for anything that is no message.
std::vector<ProtoField> proto_fields(std::string_view message);

// Reads the number at `position` and moves behind it. Throws FormatError.
uint64_t proto_number(std::string_view message, size_t& position);

void append_proto_number(std::string& out, uint64_t value);

}  // namespace fundusrt
