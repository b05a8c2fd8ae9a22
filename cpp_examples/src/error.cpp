#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

std::string message(const std::string& subject, const std::string& got, const std::string& expected,
                    const std::string& fix) {
    std::string detail;
    const auto add = [&](const std::string& part) { detail += detail.empty() ? part : "; " + part; };
    if (!got.empty()) add("got " + got);
    if (!expected.empty()) add("expected " + expected);
    if (!fix.empty()) add(fix);
    return detail.empty() ? subject : subject + ": " + detail;
}

}  // namespace

const char* code_name(ErrorCode code) {
    switch (code) {
        case ErrorCode::kError:
            return "fundusrt-error";
        case ErrorCode::kInvalidInput:
            return "invalid-input";
        case ErrorCode::kOutput:
            return "output-error";
        case ErrorCode::kUsage:
            return "usage-error";
        case ErrorCode::kBundle:
            return "bundle-error";
        case ErrorCode::kCertificate:
            return "certificate-error";
        case ErrorCode::kBackendUnavailable:
            return "backend-unavailable";
        case ErrorCode::kEngineMismatch:
            return "engine-mismatch";
    }
    return "fundusrt-error";
}

Error::Error(ErrorCode code, const std::string& subject, const std::string& got, const std::string& expected,
             const std::string& fix)
    : std::runtime_error(message(subject, got, expected, fix)), code_(code) {}

void throw_invalid_input(const std::string& subject, const std::string& got, const std::string& expected,
                         const std::string& fix) {
    throw Error(ErrorCode::kInvalidInput, subject, got, expected, fix);
}

void throw_bundle_error(const std::string& subject, const std::string& got, const std::string& expected,
                        const std::string& fix) {
    throw Error(ErrorCode::kBundle, subject, got, expected, fix);
}

void throw_backend_unavailable(const std::string& subject, const std::string& got, const std::string& expected,
                               const std::string& fix) {
    throw Error(ErrorCode::kBackendUnavailable, subject, got, expected, fix);
}

}  // namespace fundusrt
