#include "formats/zip_archive.hpp"

#include <zlib.h>

#include <algorithm>

namespace fundusrt {

namespace {

// PKWARE's APPNOTE, 4.3.
constexpr size_t kEndSize = 22, kDirectorySize = 46, kLocalSize = 30, kLongestComment = 65535;
constexpr uint32_t kEnd = 0x06054b50, kDirectory = 0x02014b50, kLocal = 0x04034b50;
constexpr uint32_t kStored = 0, kDeflated = 8, kEncrypted = 1;

uint32_t two(const uint8_t* at) {
    return at[0] | static_cast<uint32_t>(at[1]) << 8;
}
uint32_t four(const uint8_t* at) {
    return two(at) | two(at + 2) << 16;
}

std::string inflated(const uint8_t* packed, uint32_t packed_size, uint32_t size) {
    std::string made(static_cast<size_t>(size) + 1, '\0');  // one more, to see a member that is longer than it says
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw FormatError("no memory to inflate");
    stream.next_in = const_cast<uint8_t*>(packed);  // NOLINT: zlib's interface; it does not write there
    stream.avail_in = packed_size;
    stream.next_out = reinterpret_cast<uint8_t*>(made.data());
    stream.avail_out = size + 1;
    const int state = inflate(&stream, Z_FINISH);
    const size_t written = made.size() - stream.avail_out;
    inflateEnd(&stream);
    if (state != Z_STREAM_END || written != size) throw FormatError("damaged compressed data");
    made.resize(size);
    return made;
}

}  // namespace

ZipArchive::ZipArchive(const uint8_t* content, size_t size) : content_(content), size_(size) {
    if (size < kEndSize) throw FormatError("File is not a zip file");
    size_t end = size - kEndSize;
    const size_t first = end > kLongestComment ? end - kLongestComment : 0;
    while (four(content + end) != kEnd || two(content + end + 20) > size - end - kEndSize) {
        if (end == first) throw FormatError("File is not a zip file");
        --end;
    }
    const uint32_t count = two(content + end + 10), length = four(content + end + 12), start = four(content + end + 16);
    if (start > end || length > end - start) throw FormatError("a directory outside the file");
    size_t at = start;
    const size_t stop = start + size_t{length};
    for (uint32_t i = 0; i < count; ++i) {
        if (stop - at < kDirectorySize || four(content + at) != kDirectory) throw FormatError("a damaged directory");
        const uint8_t* entry = content + at;
        const size_t name_size = two(entry + 28), extra = two(entry + 30), comment = two(entry + 32);
        if (stop - at - kDirectorySize < name_size + extra + comment) throw FormatError("a damaged directory");
        const std::string name(reinterpret_cast<const char*>(entry + kDirectorySize), name_size);
        Member member;
        member.flags = two(entry + 8);
        member.method = two(entry + 10);
        member.crc = four(entry + 16);
        member.packed = four(entry + 20);
        member.size = four(entry + 24);
        member.offset = four(entry + 42);
        names_.push_back(name);
        members_[name] = member;
        at += kDirectorySize + name_size + extra + comment;
    }
}

std::string ZipArchive::read(const std::string& name, uint64_t limit) const {
    const Member& member = members_.at(name);
    if (member.size > limit)
        throw FormatError(std::to_string(member.size) + " bytes; at most " + std::to_string(limit) + " were expected");
    if (member.method != kStored && member.method != kDeflated)
        throw FormatError("compression method " + std::to_string(member.method) + "; stored or deflated was expected");
    if (member.flags & kEncrypted) throw FormatError("an encrypted member");
    if (member.offset > size_ || size_ - member.offset < kLocalSize) throw FormatError("a member outside the file");
    const uint8_t* local = content_ + member.offset;
    if (four(local) != kLocal) throw FormatError("a damaged member");
    const size_t skipped = kLocalSize + two(local + 26) + two(local + 28);
    const size_t rest = size_ - member.offset;
    if (rest < skipped || rest - skipped < member.packed) throw FormatError("a truncated member");
    const std::string local_name(reinterpret_cast<const char*>(local + kLocalSize),
                                 std::min<size_t>(two(local + 26), rest - kLocalSize));
    if (local_name != name) throw FormatError("a member with two names");
    const uint8_t* packed = local + skipped;
    std::string made;
    if (member.method == kStored) {
        if (member.packed != member.size) throw FormatError("a stored member of two sizes");
        made.assign(reinterpret_cast<const char*>(packed), member.packed);
    } else {
        made = inflated(packed, member.packed, member.size);
    }
    const auto* bytes = reinterpret_cast<const uint8_t*>(made.data());
    if (crc32(crc32(0, nullptr, 0), bytes, static_cast<uInt>(made.size())) != member.crc)
        throw FormatError("a checksum that does not fit");
    return made;
}

}  // namespace fundusrt
