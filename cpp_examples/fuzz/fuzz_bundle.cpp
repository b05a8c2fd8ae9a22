// Any bytes given to every reader that a bundle's bytes reach before its hashes are checked, and to those behind them.
// Only fundusrt::Error may leave a reader.
#include <cstddef>
#include <cstdint>
#include <string>

#include "bundle/certificate.hpp"
#include "formats/format_error.hpp"
#include "formats/npy.hpp"
#include "formats/onnx_weights.hpp"
#include "fundusrt/bundle.hpp"
#include "fundusrt/error.hpp"
#include "fundusrt/png.hpp"

namespace {

template <typename Work>
void attempt(Work work) {
    try {
        work();
    } catch (const fundusrt::Error&) {
    } catch (const fundusrt::FormatError&) {
    }
}

}  // namespace

// The first byte chooses the reader.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string rest(reinterpret_cast<const char*>(data + 1), size - 1);
    switch (data[0] % 6) {
        case 0:
            attempt([&] { fundusrt::Bundle::from_memory(rest.data(), rest.size(), "fuzz"); });
            break;
        case 1:
            attempt([&] { fundusrt::parse_manifest(rest, "fuzz"); });
            break;
        case 2:
            attempt([&] { fundusrt::refuse_external_data(rest, "fuzz"); });
            break;
        case 3:
            attempt([&] { fundusrt::inline_weights(rest, "large.weights", rest, "fuzz"); });
            break;
        case 4:
            attempt([&] { fundusrt::npy_bytes(rest); });
            break;
        default:
            fundusrt::Manifest manifest;
            manifest.certificate = "certificate.json";
            attempt([&] { fundusrt::check_certificate(rest, manifest, "fuzz"); });
            if (rest.size() < 4096) attempt([&] { fundusrt::decode_png(rest, "fuzz"); });
    }
    return 0;
}
