// Opening a bundle: a folder, or one `.frt` zip file, whose every byte is accounted for before anything is loaded.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "fundusrt/array.hpp"
#include "fundusrt/manifest.hpp"

namespace fundusrt {

class Bundle {
  public:
    // Opens and verifies: schema of the manifest, names, sizes and SHA-256 of every file, certificate, and that no
    // tensor lies outside its files. Throws Error(kBundle) or Error(kCertificate).
    static Bundle open(const std::string& path);

    // The same of a `.frt` file in memory; `source` names it in errors.
    static Bundle from_memory(const void* content, size_t size, const std::string& source);

    const Manifest& manifest() const { return manifest_; }
    const std::string& source() const { return source_; }
    // Identity: the hash of `bundle.json`, which holds the hash of every other file.
    const std::string& sha256() const { return sha256_; }

    // A recorded file. Throws Error(kBundle).
    const std::string& read(const std::string& name) const;

    // A variant of a network as one self-contained ONNX file. Throws Error(kBundle).
    std::string network_bytes(const VariantSpec& variant) const;

    // A recorded `.npy` or one-array `.npz` of uint8: (H, W) or (H, W, 3). Throws Error(kBundle).
    Bytes read_bytes_array(const std::string& name) const;

    // A recorded 8-bit PNG, grey or RGB. Throws Error(kBundle).
    Bytes read_image(const std::string& name) const;

    // The variant for a target and precision. Throws Error(kBackendUnavailable) naming what there is.
    const VariantSpec& variant(const std::string& network, const std::string& target,
                               const std::string& precision) const;

  private:
    Bundle() = default;

    std::string source_;
    std::string sha256_;
    Manifest manifest_;
    std::map<std::string, std::string> contents_;

    friend class BundleReader;
};

}  // namespace fundusrt
