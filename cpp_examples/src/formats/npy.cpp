#include "formats/npy.hpp"

#include <cstdlib>
#include <cstring>

#include "formats/format_error.hpp"
#include "formats/zip_archive.hpp"

namespace fundusrt {

namespace {

constexpr uint64_t kMaxArrayBytes = uint64_t{1} << 31;

std::string value_of(const std::string& header, const std::string& key) {
    const size_t at = header.find("'" + key + "':");
    if (at == std::string::npos) throw FormatError("an array header without " + key);
    const size_t start = header.find_first_not_of(' ', at + key.size() + 3);
    if (start == std::string::npos) throw FormatError("a damaged array header");
    const size_t stop = header.find(header[start] == '(' ? ')' : ',', start);
    if (stop == std::string::npos) throw FormatError("a damaged array header");
    return header.substr(start, stop - start);
}

}  // namespace

Bytes npy_bytes(const std::string& content) {
    if (content.compare(0, 2, "PK") == 0) {
        const ZipArchive archive(reinterpret_cast<const uint8_t*>(content.data()), content.size());
        if (archive.names().size() != 1) throw FormatError("not one array");
        const std::string inside = archive.read(archive.names()[0], kMaxArrayBytes);
        if (inside.compare(0, 2, "PK") == 0) throw FormatError("an archive in an archive");
        return npy_bytes(inside);
    }
    if (content.size() < 10 || content.compare(0, 6, "\x93NUMPY") != 0 || content[6] != 1)
        throw FormatError("no NumPy array");
    const auto* raw = reinterpret_cast<const uint8_t*>(content.data());
    const size_t length = raw[8] | static_cast<size_t>(raw[9]) << 8;
    if (content.size() - 10 < length) throw FormatError("a truncated array");
    const std::string header = content.substr(10, length);
    if (value_of(header, "descr") != "'|u1'" || value_of(header, "fortran_order") != "False")
        throw FormatError("no plain array of uint8");
    const std::string shape = value_of(header, "shape");
    int64_t sides[3] = {0, 0, 1};
    int count = 0;
    for (const char* at = shape.c_str() + 1; *at != '\0' && count < 3;) {
        char* stop = nullptr;
        const long long side = std::strtoll(at, &stop, 10);
        if (stop == at) break;
        if (side < 1 || side > (1 << 20)) throw FormatError("a shape that no image has");
        sides[count++] = side;
        at = stop + std::strspn(stop, ", ");
    }
    if (count < 2 || sides[2] > 4) throw FormatError("a shape that no image has");
    if (static_cast<uint64_t>(sides[0] * sides[1] * sides[2]) != content.size() - 10 - length)
        throw FormatError("an array of another size than its shape");
    Bytes made(sides[0], sides[1], static_cast<int>(sides[2]));
    std::memcpy(made.data(), content.data() + 10 + length, made.values.size());
    return made;
}

}  // namespace fundusrt
