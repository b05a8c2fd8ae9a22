// What every backend is: one loaded network that turns an array into an array.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fundusrt/array.hpp"
#include "fundusrt/manifest.hpp"

namespace fundusrt {

// Several threads may run one session at a time.
class Session {
  public:
    virtual ~Session() = default;

    // What runs, e.g. "onnxruntime:CPUExecutionProvider".
    virtual const std::string& name() const = 0;
    virtual const TensorSpec& input() const = 0;
    virtual const TensorSpec& output() const = 0;

    // Runs once on (N, C, H, W) float32. Throws Error(kBackendUnavailable).
    virtual Values<float> run(const Values<float>& feed, const std::vector<int64_t>& shape) = 0;
};

// What to run a network on. Exactly this is used, or an error is thrown.
struct BackendOptions {
    // `onnxruntime` on `cpu`; `onnxruntime`, `onnxruntime-tensorrt` or `onnxruntime-tensorrt-rtx` on `cuda`; `tensorrt`
    // on `cuda`, whose engines are given in `engines`.
    std::string backend = "onnxruntime";
    std::string device = "cpu";
    std::string precision = "fp32";
    int threads = 0;                               // of one network call; 0: one per core. CPU only
    std::map<std::string, std::string> engines{};  // engine file by network, for `tensorrt`
};

// The manifest's `target` of a backend's networks. Throws Error(kBackendUnavailable) for an unknown backend or device.
std::string target_of(const BackendOptions& options);

// Opens one network. `model`: a self-contained ONNX file; `network`: its name in the manifest. Throws
// Error(kBackendUnavailable), Error(kEngineMismatch) or Error(kBundle).
std::unique_ptr<Session> open_session(const BackendOptions& options, const std::string& network,
                                      const std::string& model, const std::string& source);

}  // namespace fundusrt
