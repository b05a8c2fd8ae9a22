// Every error FundusRT raises on purpose; the codes are those of the Python SDK's error classes.
#pragma once

#include <stdexcept>
#include <string>

namespace fundusrt {

enum class ErrorCode {
    kError = 1,
    kInvalidInput = 2,        // an image, array or option value that cannot be used as given
    kOutput = 3,              // a result that cannot be written
    kUsage = 4,               // an option that is unknown or does not fit the others
    kBundle = 5,              // a bundle that is missing, incomplete, changed or malformed
    kCertificate = 6,         // a bundle whose certificate is missing, does not hold, or is for other files
    kBackendUnavailable = 7,  // a backend, device or precision that this machine or this bundle cannot run
    kEngineMismatch = 8,      // a compiled engine made for another bundle, GPU or runtime version
};

// "bundle-error" for kBundle, as `FundusRTError.code` in Python.
const char* code_name(ErrorCode code);

// What is wrong, what was found, what was needed, and the next step; the last three may be empty.
class Error : public std::runtime_error {
  public:
    Error(ErrorCode code, const std::string& subject, const std::string& got, const std::string& expected,
          const std::string& fix);

    ErrorCode code() const { return code_; }

  private:
    ErrorCode code_;
};

[[noreturn]] void throw_invalid_input(const std::string& subject, const std::string& got, const std::string& expected,
                                      const std::string& fix);
[[noreturn]] void throw_bundle_error(const std::string& subject, const std::string& got, const std::string& expected,
                                     const std::string& fix);
[[noreturn]] void throw_backend_unavailable(const std::string& subject, const std::string& got,
                                            const std::string& expected, const std::string& fix);

}  // namespace fundusrt
