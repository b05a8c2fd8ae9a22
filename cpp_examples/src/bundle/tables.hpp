// The tables that generate_tables.py writes from the Python SDK.
#pragma once

#include <nlohmann/json.hpp>

namespace fundusrt {

const nlohmann::json& manifest_schema();
const nlohmann::json& certificate_schema();
// limits: by rung; systems: roles and rungs by system.
const nlohmann::json& ladder_tables();

}  // namespace fundusrt
