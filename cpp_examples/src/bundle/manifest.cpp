#include "fundusrt/manifest.hpp"

#include <algorithm>
#include <set>

#include "bundle/file_name.hpp"
#include "bundle/json_schema.hpp"
#include "bundle/tables.hpp"
#include "fundusrt/error.hpp"
#include "fundusrt/sha256.hpp"

namespace fundusrt {

namespace {

using nlohmann::json;

constexpr uint64_t kMaxBundleBytes = uint64_t{1} << 31;  // as in fundusrt/bundle.py

[[noreturn]] void refuse(const std::string& source, const std::string& place, const std::string& got) {
    throw_bundle_error(source + ", bundle.json, " + place, got, "a manifest of format version 1",
                       "update fundusrt, or export the bundle again with this version");
}

TensorSpec tensor(const json& content) {
    TensorSpec made;
    made.name = content["name"];
    for (const json& length : content["shape"]) made.shape.push_back(length.is_string() ? -1 : length.get<int64_t>());
    return made;
}

NetworkSpec network(const json& content) {
    NetworkSpec made;
    made.role = content["role"];
    made.input = tensor(content["input"]);
    made.output = tensor(content["output"]);
    for (const json& each : content["variants"]) {
        VariantSpec variant;
        variant.file = each["file"];
        variant.target = each["target"];
        variant.precision = each["precision"];
        variant.form = each["form"];
        if (!each["weights"].is_null()) variant.weights = each["weights"].get<std::string>();
        made.variants.push_back(variant);
    }
    return made;
}

Interpolation interpolation(const std::string& name) {
    if (name == "area") return Interpolation::kArea;
    if (name == "cubic") return Interpolation::kCubic;
    return name == "nearest" ? Interpolation::kNearest : Interpolation::kBilinear;
}

void read_statistics(const json& content, PreprocessSpec& spec) {
    spec.channels = content["channels"];
    spec.mean = content["mean"].get<std::array<double, 3>>();
    spec.std = content["std"].get<std::array<double, 3>>();
}

void read_cmwnet(const json& content, Manifest& manifest) {
    const json& pre = content["preprocess"];
    read_statistics(pre, manifest.preprocess);
    manifest.preprocess.gamma = pre["gamma"];
    if (!pre["clahe"].is_null()) manifest.preprocess.clahe = ClaheSpec{pre["clahe"]["clip"], pre["clahe"]["grid"]};
    const std::string round = content["tile"]["round"];
    manifest.tile.size = content["tile"]["size"];
    manifest.tile.round = round == "nearest" ? Rounding::kNearest
                          : round == "ceil"  ? Rounding::kCeil
                                             : Rounding::kFloor;
    manifest.whole_image.size = content["whole_image"]["size"];
    manifest.whole_image.interpolation = interpolation(content["whole_image"]["interpolation"]);
    const json& post = content["postprocess"];
    const std::string order = post["order"], mode = post["cgnr"]["mode"];
    manifest.fusion.upsample_on_logit = post["upsample_on"] == "logit";
    manifest.fusion.threshold = post["threshold"];
    manifest.fusion.order = order == "cgnr_then_fuse"   ? FusionOrder::kCgnrThenFuse
                            : order == "fuse_then_cgnr" ? FusionOrder::kFuseThenCgnr
                                                        : FusionOrder::kCgnrOnly;
    manifest.fusion.w_large = post["w_large"];
    manifest.fusion.cgnr_enabled = post["cgnr"]["enabled"];
    manifest.fusion.cgnr_mode = mode == "parallel" ? CgnrMode::kParallel
                                : mode == "raster" ? CgnrMode::kRaster
                                                   : CgnrMode::kConverge;
}

void read_frame(const json& content, Manifest& manifest) {
    const json &input = content["input"], &frame = content["frame"];
    read_statistics(input, manifest.preprocess);
    manifest.green = input["colour"] == "green";
    manifest.frame.height_px = frame["height_px"];
    manifest.frame.width_px = frame["width_px"];
    manifest.frame.shrink = interpolation(frame["shrink"]);
    manifest.frame.enlarge = interpolation(frame["enlarge"]);
    manifest.frame.outside_black = frame["outside"] == "black";
    if (manifest.system == System::kSsMaf) {
        manifest.upsample = interpolation(content["postprocess"]["upsample"]);
        manifest.threshold = content["postprocess"]["threshold"];
    } else {
        manifest.residual = content["postprocess"]["to_native"] == "residual";
    }
}

std::string folder_of(const std::string& name) {
    const size_t slash = name.rfind('/');
    return slash == std::string::npos ? "" : name.substr(0, slash);
}

class Checks {
  public:
    Checks(const Manifest& manifest, const std::string& source) : manifest_(manifest), source_(source) {}

    void all(const json& roles, int output_scale) const {
        for (const auto& [name, role] : roles.items()) {
            const auto found = manifest_.networks.find(name);
            if (found == manifest_.networks.end() || manifest_.networks.size() != roles.size())
                refuse(source_, "networks", "other networks than a " + manifest_.system_name + " bundle needs");
            if (found->second.role != role.get<std::string>()) refuse(source_, "networks." + name, "another role");
        }
        for (const VariantSpec& variant : manifest_.variants())
            if (variant.weights &&
                (folder_of(*variant.weights) != folder_of(variant.file) || *variant.weights == variant.file))
                refuse(source_, "networks", "weights " + *variant.weights + " that are not beside " + variant.file);
        shapes(output_scale);
    }

  private:
    void shapes(int output_scale) const {
        const int planes = manifest_.preprocess.channels;
        if (manifest_.system == System::kCmwnet) {
            const int whole = manifest_.whole_image.size, tile = manifest_.tile.size;
            shape("large", "input", manifest_.networks.at("large").input, planes, whole, whole);
            shape("large", "output", manifest_.networks.at("large").output, 1, whole, whole);
            shape("small", "input", manifest_.networks.at("small").input, planes, tile, tile);
            shape("small", "output", manifest_.networks.at("small").output, 1, tile, tile);
            return;
        }
        const auto& [name, network] = *manifest_.networks.begin();
        const FrameSpec& frame = manifest_.frame;
        if (!manifest_.green && planes == 1) refuse(source_, "input.channels", "1 with colour rgb");
        shape(name, "input", network.input, planes, frame.height_px, frame.width_px);
        if (network.input.shape[0] != -1 && network.input.shape[0] != 1)
            refuse(source_, "networks." + name + ".input", "several images at once");
        if (manifest_.system == System::kSsMaf) {
            shape(name, "output", network.output, 1, output_scale * frame.height_px, output_scale * frame.width_px);
        } else {
            if (manifest_.green) refuse(source_, "input.colour", "green, though the answer is a colour image");
            shape(name, "output", network.output, 3, frame.height_px, frame.width_px);
        }
    }

    void shape(const std::string& network, const char* kind, const TensorSpec& tensor, int planes, int height,
               int width) const {
        const int64_t wanted[4] = {-1, planes, height, width};
        bool fits = tensor.shape.size() == 4;
        for (size_t i = 0; fits && i < 4; ++i)
            fits = wanted[i] == -1 || tensor.shape[i] == -1 || tensor.shape[i] == wanted[i];
        if (!fits) refuse(source_, "networks." + network + "." + kind, "another shape than the stages need");
    }

    const Manifest& manifest_;
    const std::string& source_;
};

std::vector<std::string> needed_rungs(const Manifest& manifest) {
    auto rungs = ladder_tables()["systems"][manifest.system_name]["rungs"].get<std::vector<std::string>>();
    std::set<std::string> reduced;
    bool several = false;
    for (const VariantSpec& variant : manifest.variants()) {
        several = several || variant.target != "onnxruntime";
        if (variant.precision != "fp32") reduced.insert("precision-" + variant.precision);
    }
    if (several) rungs.emplace_back("runtimes");
    rungs.insert(rungs.end(), reduced.begin(), reduced.end());
    return rungs;
}

std::string content_hash(json content) {
    content.erase("files");
    // Weights that are not there are left out: a manifest from before they were known keeps its hash.
    for (auto& network : content["networks"])
        for (auto& variant : network["variants"])
            if (variant["weights"].is_null()) variant.erase("weights");
    return sha256(canonical_json(content));
}

}  // namespace

std::vector<VariantSpec> Manifest::variants() const {
    std::vector<VariantSpec> all;
    for (const auto& entry : networks)
        all.insert(all.end(), entry.second.variants.begin(), entry.second.variants.end());
    return all;
}

std::vector<std::string> Manifest::network_files() const {
    std::set<std::string> names;
    for (const VariantSpec& variant : variants()) {
        names.insert(variant.file);
        if (variant.weights) names.insert(*variant.weights);
    }
    return {names.begin(), names.end()};
}

Manifest parse_manifest(const std::string& content, const std::string& source) {
    json document;
    try {
        document = conforming(parse_json(content), manifest_schema());
    } catch (const SchemaProblem& problem) {
        refuse(source, problem.place.empty() ? "content" : problem.place, problem.what());
    }
    Manifest manifest;
    manifest.name = document["name"];
    manifest.version = document["version"];
    manifest.label = document.value("label", "");
    manifest.system_name = document["system"];
    manifest.system = manifest.system_name == "cmwnet"   ? System::kCmwnet
                      : manifest.system_name == "ss-maf" ? System::kSsMaf
                                                         : System::kMageNet;
    manifest.task = document["task"];
    for (const auto& [name, each] : document["networks"].items()) manifest.networks[name] = network(each);
    manifest.golden = document["golden"].get<std::map<std::string, std::string>>();
    manifest.certificate = document["certificate"];
    for (const auto& [name, record] : document["files"].items()) {
        if (!record["bytes"].is_number_unsigned()) refuse(source, "files." + name, "a size that no file has");
        manifest.files[name] = FileRecord{record["sha256"], record["bytes"].get<uint64_t>()};
    }
    if (manifest.system == System::kCmwnet)
        read_cmwnet(document, manifest);
    else
        read_frame(document, manifest);
    Checks(manifest, source)
        .all(ladder_tables()["systems"][manifest.system_name]["roles"], document.value("output_scale", 1));

    std::vector<std::string> named = manifest.network_files();
    for (const auto& entry : manifest.golden) named.push_back(entry.second);
    named.push_back(manifest.certificate);
    named.push_back(document["model_card"]);
    for (const std::string& name : named)
        if (manifest.files.count(name) == 0) refuse(source, "files", "no sha256 recorded for " + name);
    uint64_t total = 0;
    for (const auto& [name, record] : manifest.files) {
        refuse_unsafe_name(name, source + ", bundle.json");
        if (record.bytes > kMaxBundleBytes) total = kMaxBundleBytes;
        total += record.bytes;
        if (total > kMaxBundleBytes)
            throw_bundle_error(source + ", bundle.json, files",
                               "more than " + std::to_string(kMaxBundleBytes) + " bytes", "at most that many",
                               "do not use this bundle");
    }
    manifest.needed_rungs = needed_rungs(manifest);
    manifest.content_sha256 = content_hash(document);
    return manifest;
}

}  // namespace fundusrt
