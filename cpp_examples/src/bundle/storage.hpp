// Where a bundle's bytes lie: a folder, or one zip file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace fundusrt {

class Storage {
  public:
    virtual ~Storage() = default;
    // One file of at most `limit` bytes. Throws Error(kBundle): absent, larger, unreadable, or a link that leads out.
    virtual std::string read(const std::string& name, uint64_t limit) const = 0;
};

// `path`: a bundle folder or a .frt file. Throws Error(kBundle).
std::unique_ptr<Storage> open_storage(const std::string& path);

// A .frt file in memory; the bytes are copied.
std::unique_ptr<Storage> open_storage(const void* content, size_t size, const std::string& source);

}  // namespace fundusrt
