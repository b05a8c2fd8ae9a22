#include "sessions/backends.hpp"

#include <array>

#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

struct Backend {
    const char *name, *device, *target;
};

constexpr std::array<Backend, 5> kBackends = {{{"onnxruntime", "cpu", "onnxruntime"},
                                               {"onnxruntime", "cuda", "onnxruntime"},
                                               {"onnxruntime-tensorrt", "cuda", "tensorrt"},
                                               {"onnxruntime-tensorrt-rtx", "cuda", "tensorrt"},
                                               {"tensorrt", "cuda", "tensorrt"}}};
constexpr int kMaxThreads = 1024;

}  // namespace

std::string target_of(const BackendOptions& options) {
    if (options.threads < 0 || options.threads > kMaxThreads)
        throw_invalid_input("threads", std::to_string(options.threads), "1 to 1024, or 0 for one per core",
                            "leave it out");
    if (options.threads != 0 && options.device != "cpu")
        throw_invalid_input("threads", "a number with device '" + options.device + "'", "0", "leave it out");
    std::string known;
    for (const Backend& backend : kBackends) {
        if (options.backend == backend.name && options.device == backend.device) return backend.target;
        known += std::string(known.empty() ? "" : ", ") + backend.name + " on " + backend.device;
    }
    throw_backend_unavailable("backend '" + options.backend + "'", "device '" + options.device + "'", "one of " + known,
                              "choose one of these");
}

std::unique_ptr<Session> open_session(const BackendOptions& options, const std::string& network,
                                      const std::string& model, const std::string& source) {
    target_of(options);
    if (options.backend != "tensorrt") return open_onnxruntime(options, model, source);
    const auto engine = options.engines.find(network);
    if (engine == options.engines.end())
        throw Error(ErrorCode::kEngineMismatch, source, "no engine", "an engine file for network '" + network + "'",
                    "build one with `fundusrt build` and name it in BackendOptions::engines");
    return open_tensorrt(engine->second, source);
}

}  // namespace fundusrt
