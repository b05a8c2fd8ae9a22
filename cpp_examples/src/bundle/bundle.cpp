#include "fundusrt/bundle.hpp"

#include <set>

#include "bundle/certificate.hpp"
#include "bundle/storage.hpp"
#include "formats/format_error.hpp"
#include "formats/npy.hpp"
#include "formats/onnx_weights.hpp"
#include "fundusrt/error.hpp"
#include "fundusrt/png.hpp"
#include "fundusrt/sha256.hpp"

namespace fundusrt {

namespace {

constexpr uint64_t kMaxManifestBytes = 4 * 1024 * 1024;

}  // namespace

class BundleReader {
  public:
    static Bundle read(const Storage& storage, const std::string& source) {
        Bundle bundle;
        bundle.source_ = source;
        const std::string content = storage.read("bundle.json", kMaxManifestBytes);
        bundle.manifest_ = parse_manifest(content, source);
        bundle.sha256_ = sha256(content);
        for (const auto& [name, record] : bundle.manifest_.files)
            bundle.contents_[name] = verified(storage, name, record, source);
        check_certificate(bundle.read(bundle.manifest_.certificate), bundle.manifest_, source);
        std::set<std::pair<std::string, std::string>> seen;
        for (const VariantSpec& variant : bundle.manifest_.variants())
            if (seen.emplace(variant.file, variant.weights.value_or("")).second) bundle.network_bytes(variant);
        return bundle;
    }

  private:
    static std::string verified(const Storage& storage, const std::string& name, const FileRecord& record,
                                const std::string& source) {
        std::string content = storage.read(name, record.bytes);
        const std::string digest = sha256(content);
        if (digest != record.sha256 || content.size() != record.bytes)
            throw_bundle_error(source + ", " + name,
                               "sha256 " + digest.substr(0, 12) + ", " + std::to_string(content.size()) + " bytes",
                               "sha256 " + record.sha256.substr(0, 12) + ", " + std::to_string(record.bytes) + " bytes",
                               "the file was changed or damaged; copy or export the bundle again");
        return content;
    }
};

Bundle Bundle::open(const std::string& path) {
    return BundleReader::read(*open_storage(path), path);
}

Bundle Bundle::from_memory(const void* content, size_t size, const std::string& source) {
    return BundleReader::read(*open_storage(content, size, source), source);
}

const std::string& Bundle::read(const std::string& name) const {
    const auto found = contents_.find(name);
    if (found == contents_.end())
        throw_bundle_error(source_ + ", " + name, "no such file", "a file the manifest records",
                           "see the manifest for the names");
    return found->second;
}

std::string Bundle::network_bytes(const VariantSpec& variant) const {
    const std::string& content = read(variant.file);
    const std::string subject = source_ + ", " + variant.file;
    if (!variant.weights) {
        refuse_external_data(content, subject);
        return content;
    }
    const std::string name = variant.weights->substr(variant.weights->rfind('/') + 1);
    return inline_weights(content, name, read(*variant.weights), subject);
}

Bytes Bundle::read_bytes_array(const std::string& name) const {
    try {
        return npy_bytes(read(name));
    } catch (const FormatError& error) {
        throw_bundle_error(source_ + ", " + name, error.what(), "one plain NumPy array", "export the bundle again");
    }
}

Bytes Bundle::read_image(const std::string& name) const {
    try {
        auto decoded = decode_png(read(name), name);
        if (auto* bytes = std::get_if<Bytes>(&decoded)) return std::move(*bytes);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::kBundle) throw;
    }
    throw_bundle_error(source_ + ", " + name, "no 8-bit image", "a PNG file", "export the bundle again");
}

const VariantSpec& Bundle::variant(const std::string& network, const std::string& target,
                                   const std::string& precision) const {
    std::string have;
    for (const VariantSpec& variant : manifest_.networks.at(network).variants) {
        if (variant.target == target && variant.precision == precision) return variant;
        have += (have.empty() ? "" : ", ") + variant.target + "/" + variant.precision;
    }
    throw_backend_unavailable(source_, target + "/" + precision, "one of " + have,
                              "choose one of these, or export another variant");
}

}  // namespace fundusrt
