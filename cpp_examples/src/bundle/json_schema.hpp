// The part of JSON Schema that the manifest's and the certificate's schemas use.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace fundusrt {

// Where a document leaves its schema, and how.
struct SchemaProblem : std::runtime_error {
    SchemaProblem(const std::string& where, const std::string& what) : std::runtime_error(what), place(where) {}
    std::string place;
};

// Returns the document with every default written out and whole numbers turned into real ones where the schema says
// `number`: what Python's classes hold after parsing. Throws SchemaProblem.
nlohmann::json conforming(const nlohmann::json& document, const nlohmann::json& schema);

// Parses JSON; throws SchemaProblem for anything else.
nlohmann::json parse_json(const std::string& text);

// Sorted keys, no spaces, ASCII only, numbers as Python writes them: what hashes are made of.
std::string canonical_json(const nlohmann::json& document);

}  // namespace fundusrt
