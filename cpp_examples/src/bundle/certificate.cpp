#include "bundle/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "bundle/json_schema.hpp"
#include "bundle/tables.hpp"
#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& subject, const std::string& got, const std::string& expected) {
    throw Error(ErrorCode::kCertificate, subject, got, expected, "export the bundle again");
}

bool is_or_ends_with(const std::string& metric, const std::string& wanted) {
    const std::string ending = ": " + wanted;
    return metric == wanted || (metric.size() >= ending.size() &&
                                metric.compare(metric.size() - ending.size(), ending.size(), ending) == 0);
}

// Refuses a figure that does not hold, or with a looser limit than the ladder's, whatever the certificate says.
void check_measurement(const std::string& subject, const std::string& rung, const json& measurement) {
    const std::string metric = measurement["metric"], bound = measurement["bound"];
    const double value = measurement["value"], given = measurement["limit"];
    const json& limits = ladder_tables()["limits"];
    double limit = given;
    if (const auto known_rung = limits.find(rung); known_rung != limits.end()) {
        const auto known = std::find_if(known_rung->begin(), known_rung->end(),
                                        [&](const json& each) { return is_or_ends_with(metric, each["metric"]); });
        if (known == known_rung->end()) refuse(subject, "the figure '" + metric + "'", "a figure of the ladder");
        if ((*known)["bound"] != bound) refuse(subject, metric + ", " + bound, "the ladder's bound");
        const double strict = (*known)["value"];
        limit = bound == "at_least" ? std::max(given, strict) : std::min(given, strict);
    }
    const bool finite = std::isfinite(value) && std::isfinite(given);
    const bool holds = bound == "at_most" ? value <= given : value >= given;
    if (limit != given || !finite || !holds)
        refuse(subject, metric + " " + std::to_string(value) + ", limit " + std::to_string(given),
               metric + (bound == "at_least" ? " >= " : " <= ") + std::to_string(limit));
}

// Refuses a certificate that leaves out a figure: of a reduced precision, one of each of its files.
void check_completeness(const std::string& subject, const json& rung, const Manifest& manifest) {
    const std::string name = rung["name"];
    if (std::find(manifest.needed_rungs.begin(), manifest.needed_rungs.end(), name) == manifest.needed_rungs.end())
        return;
    std::set<std::string> reduced;
    for (const VariantSpec& variant : manifest.variants())
        if ("precision-" + variant.precision == name) reduced.insert(variant.file);
    for (const json& limit : ladder_tables()["limits"].at(name)) {
        if (!limit["needed"].get<bool>() || (!limit["task"].is_null() && limit["task"] != manifest.task)) continue;
        std::vector<std::string> wanted;
        const std::string metric = limit["metric"];
        for (const std::string& file : reduced) wanted.push_back(file + ": " + metric);
        if (wanted.empty()) wanted.push_back(metric);
        for (const std::string& want : wanted) {
            const json& figures = rung["measurements"];
            if (std::none_of(figures.begin(), figures.end(),
                             [&](const json& each) { return is_or_ends_with(each["metric"], want); }))
                refuse(subject + ", rung " + name, "no figure '" + want + "'", "every figure of the ladder");
        }
    }
}

}  // namespace

void check_certificate(const std::string& content, const Manifest& manifest, const std::string& source) {
    const std::string subject = source + ", " + manifest.certificate;
    json certificate;
    try {
        certificate = conforming(parse_json(content), certificate_schema());
    } catch (const SchemaProblem& problem) {
        refuse(subject, problem.place + ": " + problem.what(), "a FundusRT certificate");
    }
    if (certificate["manifest_sha256"] != manifest.content_sha256)
        refuse(subject, "another manifest than bundle.json", "a certificate made for this bundle.json");
    for (const std::string& name : manifest.network_files())
        if (certificate["files"].value(name, "") != manifest.files.at(name).sha256)
            refuse(subject, "no matching sha256 for " + name, "every ONNX file certified");
    std::set<std::string> names;
    for (const json& rung : certificate["rungs"]) names.insert(rung["name"].get<std::string>());
    for (const std::string& needed : manifest.needed_rungs)
        if (names.count(needed) == 0) refuse(subject, "no rung " + needed, "every rung of the system");
    for (const json& rung : certificate["rungs"])
        for (const json& measurement : rung["measurements"])
            check_measurement(subject + ", rung " + rung["name"].get<std::string>(), rung["name"], measurement);
    for (const json& rung : certificate["rungs"]) check_completeness(subject, rung, manifest);
}

}  // namespace fundusrt
