#include "bundle/storage.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

#include "bundle/file_name.hpp"
#include "formats/zip_archive.hpp"
#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 32;  // a zip file; zip64 is not read

[[noreturn]] void unreadable(const std::string& source, const std::string& got) {
    throw_bundle_error(source, got, "a readable file", "copy or export the bundle again");
}

std::string whole_file(const fs::path& path, uint64_t limit, const std::string& source) {
    std::error_code failed;
    const uint64_t size = fs::file_size(path, failed);
    if (failed) unreadable(source, failed.message());
    if (size > limit)
        unreadable(source, std::to_string(size) + " bytes; at most " + std::to_string(limit) + " were expected");
    std::ifstream file(path, std::ios::binary);
    std::string content(size, '\0');
    if (!file.read(content.data(), static_cast<std::streamsize>(size)))
        unreadable(source, "a file that cannot be read");
    return content;
}

class Folder final : public Storage {
  public:
    explicit Folder(const std::string& path) : source_(path) {
        std::error_code failed;
        root_ = fs::canonical(path, failed);
        if (failed) unreadable(path, failed.message());
    }

    std::string read(const std::string& name, uint64_t limit) const override {
        const std::string subject = source_ + ", " + name;
        std::error_code failed;
        const fs::path path = fs::weakly_canonical(root_ / name, failed);
        if (failed) unreadable(subject, failed.message());
        if (std::mismatch(root_.begin(), root_.end(), path.begin(), path.end()).first != root_.end())
            unreadable(subject, "a link that leads out of the bundle");
        if (!fs::exists(path, failed))
            throw_bundle_error(subject, "no such file", "a complete bundle", "copy or export it again");
        if (!fs::is_regular_file(path, failed)) unreadable(subject, "a folder, a pipe or a device");
        return whole_file(path, limit, subject);
    }

  private:
    std::string source_;
    fs::path root_;
};

class Zip final : public Storage {
  public:
    Zip(std::string content, const std::string& source) : source_(source), content_(std::move(content)) {
        try {
            archive_ = std::make_unique<ZipArchive>(reinterpret_cast<const uint8_t*>(content_.data()), content_.size());
        } catch (const FormatError& error) {
            throw_bundle_error(source, error.what(), "a bundle folder or a .frt (zip) file", "copy or export it again");
        }
        const auto& names = archive_->names();
        if (std::set<std::string>(names.begin(), names.end()).size() != names.size())
            throw_bundle_error(source, "a file stored twice", "each file once", "export it again");
        for (const std::string& name : names)
            refuse_unsafe_name(!name.empty() && name.back() == '/' ? name.substr(0, name.size() - 1) : name, source);
    }

    std::string read(const std::string& name, uint64_t limit) const override {
        const std::string subject = source_ + ", " + name;
        if (!archive_->contains(name))
            throw_bundle_error(subject, "no such file", "a complete bundle", "copy or export it again");
        try {
            return archive_->read(name, limit);
        } catch (const FormatError& error) {
            unreadable(subject, error.what());
        }
    }

  private:
    std::string source_;
    std::string content_;
    std::unique_ptr<ZipArchive> archive_;
};

}  // namespace

std::unique_ptr<Storage> open_storage(const std::string& path) {
    std::error_code failed;
    if (fs::is_directory(path, failed)) return std::make_unique<Folder>(path);
    if (!fs::is_regular_file(path, failed))
        throw_bundle_error("bundle '" + path + "'", "no such file or folder", "a bundle folder or a .frt file",
                           "check the path");
    return std::make_unique<Zip>(whole_file(path, kMaxFileBytes, path), path);
}

std::unique_ptr<Storage> open_storage(const void* content, size_t size, const std::string& source) {
    return std::make_unique<Zip>(std::string(static_cast<const char*>(content), size), source);
}

}  // namespace fundusrt
