#include "bundle/file_name.hpp"

#include "fundusrt/error.hpp"

namespace fundusrt {

bool is_safe_name(const std::string& name) {
    bool at_start = true;
    for (const char c : name) {
        const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        if (at_start ? !word : !word && c != '.' && c != '-' && c != '/') return false;
        at_start = c == '/';
    }
    return !at_start;
}

void refuse_unsafe_name(const std::string& name, const std::string& where) {
    if (is_safe_name(name)) return;
    throw_bundle_error(where + ", file name", "an absolute path, '..' or an unusual character",
                       "a plain relative name of letters, digits and ._-/", "do not use this bundle");
}

}  // namespace fundusrt
