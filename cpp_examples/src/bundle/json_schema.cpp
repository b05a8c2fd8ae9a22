#include "bundle/json_schema.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace fundusrt {

namespace {

using nlohmann::json;

bool is_hash(const std::string& text) {
    return text.size() == 64 && std::all_of(text.begin(), text.end(),
                                            [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_bundle_name(const std::string& text) {
    const auto plain = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); };
    return !text.empty() && plain(text[0]) &&
           std::all_of(text.begin(), text.end(), [&](char c) { return plain(c) || c == '_' || c == '-'; });
}

// The schemas have two patterns; matching them by hand keeps a hostile text from recursing in a regex engine.
bool matches(const std::string& pattern, const std::string& text) {
    if (pattern == "^[0-9a-f]{64}$") return is_hash(text);
    if (pattern == "^[a-z0-9][a-z0-9_-]*$") return is_bundle_name(text);
    throw std::logic_error("unknown pattern in a schema: " + pattern);
}

bool has_type(const json& value, const std::string& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    throw std::logic_error("unknown type in a schema: " + type);
}

class Walk {
  public:
    explicit Walk(const json& root) : root_(root) {}

    json value(const json& value, const json& schema, const std::string& place) const {
        if (const auto reference = schema.find("$ref"); reference != schema.end())
            return this->value(value, resolved(*reference), place);
        if (const auto choices = schema.find("anyOf"); choices != schema.end()) return any_of(value, *choices, place);
        if (const auto chooser = schema.find("discriminator"); chooser != schema.end())
            return chosen(value, *chooser, place);
        if (schema.contains("type") && !has_type(value, schema["type"]))
            throw SchemaProblem(place, "Input should be a valid " + schema["type"].get<std::string>());
        if (schema.contains("const") && value != schema["const"])
            throw SchemaProblem(place, "Input should be " + schema["const"].dump());
        if (schema.contains("enum")) {
            const json& allowed = schema["enum"];
            if (std::find(allowed.begin(), allowed.end(), value) == allowed.end())
                throw SchemaProblem(place, "Input should be one of " + allowed.dump());
        }
        if (value.is_object()) return object(value, schema, place);
        if (value.is_array()) return array(value, schema, place);
        if (value.is_string() && schema.contains("pattern") && !matches(schema["pattern"], value.get<std::string>()))
            throw SchemaProblem(place, "String should match pattern '" + schema["pattern"].get<std::string>() + "'");
        if (value.is_number()) return number(value, schema, place);
        return value;
    }

  private:
    const json& resolved(const json& reference) const {
        return root_.at(json::json_pointer(reference.get<std::string>().substr(1)));
    }

    json any_of(const json& value, const json& choices, const std::string& place) const {
        for (const json& choice : choices) {
            // The kinds of a choice never overlap here, so the first whose type fits is the one that is meant.
            const json& schema = choice.contains("$ref") ? resolved(choice["$ref"]) : choice;
            if (has_type(value, schema.at("type"))) return this->value(value, schema, place);
        }
        throw SchemaProblem(place, "Input is of none of the allowed types");
    }

    json chosen(const json& value, const json& chooser, const std::string& place) const {
        const std::string key = chooser.at("propertyName");
        if (!value.is_object()) throw SchemaProblem(place, "Input should be a valid object");
        const auto tag = value.find(key);
        if (tag == value.end() || !tag->is_string()) throw SchemaProblem(key, "Unable to extract tag");
        const auto target = chooser.at("mapping").find(tag->get<std::string>());
        if (target == chooser.at("mapping").end()) throw SchemaProblem(key, "Input tag is none of the expected ones");
        return this->value(value, resolved(*target), place);
    }

    json object(const json& value, const json& schema, const std::string& place) const {
        json made = json::object();
        const auto properties = schema.find("properties");
        if (properties == schema.end()) {
            for (const auto& [name, entry] : value.items())
                made[name] = this->value(entry, schema.at("additionalProperties"), within(place, name));
            return made;
        }
        for (const auto& [name, entry] : value.items()) {
            const auto property = properties->find(name);
            if (property == properties->end())
                throw SchemaProblem(within(place, name), "Extra inputs are not permitted");
            made[name] = this->value(entry, *property, within(place, name));
        }
        for (const auto& [name, property] : properties->items()) {
            if (made.contains(name)) continue;
            if (!property.contains("default")) throw SchemaProblem(within(place, name), "Field required");
            made[name] = this->value(property["default"], property, within(place, name));
        }
        return made;
    }

    json array(const json& value, const json& schema, const std::string& place) const {
        if (value.size() < schema.value("minItems", size_t{0}) || value.size() > schema.value("maxItems", value.size()))
            throw SchemaProblem(place, "Array has a length that is not allowed");
        const auto prefix = schema.find("prefixItems");
        json made = json::array();
        for (size_t i = 0; i < value.size(); ++i)
            made.push_back(this->value(value[i], prefix == schema.end() ? schema.at("items") : prefix->at(i),
                                       within(place, std::to_string(i))));
        return made;
    }

    static json number(const json& value, const json& schema, const std::string& place) {
        const double size = value.get<double>();
        if (!std::isfinite(size)) throw SchemaProblem(place, "Input should be a finite number");
        if ((schema.contains("minimum") && size < schema["minimum"].get<double>()) ||
            (schema.contains("maximum") && size > schema["maximum"].get<double>()) ||
            (schema.contains("exclusiveMinimum") && size <= schema["exclusiveMinimum"].get<double>()))
            throw SchemaProblem(place, "Input is outside its range: " + value.dump());
        if (schema.value("type", "") == "number") return size;
        return value;
    }

    static std::string within(const std::string& place, const std::string& name) {
        return place.empty() ? name : place + "." + name;
    }

    const json& root_;
};

}  // namespace

json conforming(const json& document, const json& schema) {
    return Walk(schema).value(document, schema, "");
}

json parse_json(const std::string& text) {
    try {
        return json::parse(text);
    } catch (const json::exception& error) {
        throw SchemaProblem("content", error.what());
    }
}

}  // namespace fundusrt
