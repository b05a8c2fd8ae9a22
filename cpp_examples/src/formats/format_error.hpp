#pragma once

#include <stdexcept>

namespace fundusrt {

// Bytes that are not what they should be; whoever reads the file turns it into an Error with the file's name.
struct FormatError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace fundusrt
