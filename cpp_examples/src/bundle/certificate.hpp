// The certificate of a bundle: measured agreement at every step from PyTorch to the final mask.
// Reference: fundusrt/certificate.py and fundusrt/ladder.py.
#pragma once

#include <string>

#include "fundusrt/manifest.hpp"

namespace fundusrt {

// Throws Error(kCertificate) unless the certificate covers this manifest, has every rung and figure, and each holds a
// limit no looser than the ladder's.
void check_certificate(const std::string& content, const Manifest& manifest, const std::string& source);

}  // namespace fundusrt
