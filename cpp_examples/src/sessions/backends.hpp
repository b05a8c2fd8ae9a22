// The implementations of Session. Each is compiled where its headers are found; without them it throws
// Error(kBackendUnavailable) that says so.
#pragma once

#include "fundusrt/session.hpp"

namespace fundusrt {

std::unique_ptr<Session> open_onnxruntime(const BackendOptions& options, const std::string& model,
                                          const std::string& source);

// Runs an engine file that `fundusrt build` made.
std::unique_ptr<Session> open_tensorrt(const std::string& engine_file, const std::string& source);

}  // namespace fundusrt
