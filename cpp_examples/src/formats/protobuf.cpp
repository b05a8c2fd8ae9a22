#include "formats/protobuf.hpp"

#include "formats/format_error.hpp"

namespace fundusrt {

uint64_t proto_number(std::string_view message, size_t& position) {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (position >= message.size()) throw FormatError("a number reaches past the end");
        const auto byte = static_cast<uint8_t>(message[position++]);
        if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7F) << shift;
        if (byte < 0x80) return value;
    }
    throw FormatError("a number longer than 10 bytes");
}

std::vector<ProtoField> proto_fields(std::string_view message) {
    std::vector<ProtoField> made;
    size_t position = 0;
    while (position < message.size()) {
        const size_t start = position;
        const uint64_t key = proto_number(message, position);
        // Some readers drop the higher bits, and would see another field than this walk.
        if (key >= uint64_t{1} << 32) throw FormatError("a field number beyond 29 bits");
        ProtoField field;
        field.number = static_cast<uint32_t>(key >> 3);
        field.wire = static_cast<int>(key & 7);
        if (field.wire == 0) {
            field.value = proto_number(message, position);
        } else {
            uint64_t length = 0;
            if (field.wire == 2)
                length = proto_number(message, position);
            else if (field.wire == 1 || field.wire == 5)
                length = field.wire == 1 ? 8 : 4;
            else
                throw FormatError("wire type " + std::to_string(field.wire));
            if (length > message.size() - position) throw FormatError("a field reaches past the end");
            field.bytes = message.substr(position, length);
            position += length;
        }
        field.whole = message.substr(start, position - start);
        made.push_back(field);
    }
    return made;
}

void append_proto_number(std::string& out, uint64_t value) {
    while (value >= 0x80) {
        out += static_cast<char>((value & 0x7F) | 0x80);
        value >>= 7;
    }
    out += static_cast<char>(value);
}

}  // namespace fundusrt
