// Which names a bundle's files may have.
#pragma once

#include <string>

namespace fundusrt {

// A relative path of letters, digits and ._- whose parts begin with a letter, digit or underscore: no "..", no
// backslash, no absolute path.
bool is_safe_name(const std::string& name);

// Throws Error(kBundle) for any other.
void refuse_unsafe_name(const std::string& name, const std::string& where);

}  // namespace fundusrt
