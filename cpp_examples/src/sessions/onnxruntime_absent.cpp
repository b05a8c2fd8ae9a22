// Compiled in place of onnxruntime_session.cpp where its headers or library are not found.
#include "fundusrt/error.hpp"
#include "sessions/backends.hpp"

namespace fundusrt {

std::unique_ptr<Session> open_onnxruntime(const BackendOptions&, const std::string&, const std::string& source) {
    throw_backend_unavailable(source, "a library built without ONNX Runtime", "one built with it",
                              "set ONNXRUNTIME_ROOT when configuring with CMake");
}

}  // namespace fundusrt
