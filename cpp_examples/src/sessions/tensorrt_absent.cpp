// Compiled in place of tensorrt_session.cpp where TensorRT's or CUDA's headers are not found.
#include "fundusrt/error.hpp"
#include "sessions/backends.hpp"

namespace fundusrt {

std::unique_ptr<Session> open_tensorrt(const std::string&, const std::string& source) {
    throw_backend_unavailable(source, "a library built without TensorRT", "one built with it",
                              "set TENSORRT_ROOT when configuring with CMake");
}

}  // namespace fundusrt
