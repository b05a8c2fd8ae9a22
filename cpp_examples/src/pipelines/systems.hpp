// The pipelines by system.
#pragma once

#include "fundusrt/pipeline.hpp"

namespace fundusrt {

using Sessions = std::map<std::string, std::unique_ptr<Session>>;

std::unique_ptr<Pipeline> cmwnet_pipeline(const Bundle& bundle, Sessions sessions);
std::unique_ptr<Pipeline> ss_maf_pipeline(const Bundle& bundle, Sessions sessions);
std::unique_ptr<Pipeline> mage_net_pipeline(const Bundle& bundle, Sessions sessions);

}  // namespace fundusrt
