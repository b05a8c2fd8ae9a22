// Reading a zip file that is wholly in memory: stored or deflated members, no encryption, no zip64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "formats/format_error.hpp"

namespace fundusrt {

class ZipArchive {
  public:
    // `content` must outlive the archive. Throws FormatError.
    ZipArchive(const uint8_t* content, size_t size);

    // In the order of the directory; a name may occur twice.
    const std::vector<std::string>& names() const { return names_; }
    bool contains(const std::string& name) const { return members_.count(name) != 0; }

    // A member of at most `limit` bytes. The recorded size may be a lie: no more than `limit` is ever inflated.
    // Throws FormatError.
    std::string read(const std::string& name, uint64_t limit) const;

  private:
    struct Member {
        uint32_t method = 0, crc = 0, packed = 0, size = 0, offset = 0, flags = 0;
    };

    const uint8_t* content_;
    size_t size_;
    std::vector<std::string> names_;
    std::map<std::string, Member> members_;
};

}  // namespace fundusrt
