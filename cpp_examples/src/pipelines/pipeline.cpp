#include "fundusrt/pipeline.hpp"

#include <cstdlib>
#include <sstream>

#include "fundusrt/error.hpp"
#include "pipelines/systems.hpp"

namespace fundusrt {

namespace {

constexpr int kMaxLevels = 1;          // fundusrt/golden.py
constexpr double kMaxOutliers = 1e-3;  // limit `share` of the rung `preprocessing`

// Refuses a build that pre-processes otherwise than the one that certified the bundle.
void check_preprocessing(const Bundle& bundle, const Pipeline& pipeline) {
    const auto& golden = bundle.manifest().golden;
    const Bytes pixels = bundle.read_image(golden.at("image"));
    ImageView view;
    view.data = pixels.data();
    view.height = pixels.height;
    view.width = pixels.width;
    view.channels = pixels.channels;
    std::map<std::string, Bytes> made;
    try {
        made = pipeline.preprocessed(from_view(view));
    } catch (const Error& error) {
        throw_bundle_error(bundle.source() + ", " + golden.at("image"), error.what(), "an image of an eye",
                           "export the bundle again");
    }
    for (const auto& [stage, array] : made) {
        const Bytes expected = bundle.read_bytes_array(golden.at(stage));
        int64_t off = static_cast<int64_t>(expected.values.size());
        if (expected.values.size() == array.values.size()) {
            off = 0;
            for (size_t i = 0; i < array.values.size(); ++i)
                off += std::abs(int{array.values[i]} - int{expected.values[i]}) > kMaxLevels ? 1 : 0;
        }
        if (static_cast<double>(off) > kMaxOutliers * static_cast<double>(expected.values.size()))
            throw_bundle_error(bundle.source() + ", golden pre-processing, " + stage,
                               std::to_string(off) + " values off by more than 1 grey level",
                               "at most 0.1 % of " + std::to_string(expected.values.size()),
                               "use the library's own build flags, or export the bundle again");
    }
}

std::string text(const TensorSpec& tensor) {
    std::ostringstream out;
    out << tensor.name << " (";
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
        out << (i == 0 ? "" : ", ");
        if (tensor.shape[i] < 0)
            out << "?";
        else
            out << tensor.shape[i];
    }
    out << ")";
    return out.str();
}

void check_tensor(const std::string& network, const char* kind, const TensorSpec& wanted, const TensorSpec& found) {
    bool fits = wanted.name == found.name && wanted.shape.size() == found.shape.size();
    // A free dimension of the manifest may be fixed in an engine; one image at a time is what is asked of it.
    for (size_t i = 0; fits && i < wanted.shape.size(); ++i)
        fits = wanted.shape[i] == found.shape[i] || (i == 0 && wanted.shape[i] == -1 && found.shape[i] == 1);
    if (!fits)
        throw_bundle_error("network '" + network + "', " + kind, text(found), text(wanted) + " as in the manifest",
                           "export the bundle again");
}

std::unique_ptr<Pipeline> assembled(const Bundle& bundle, Sessions sessions) {
    switch (bundle.manifest().system) {
        case System::kCmwnet:
            return cmwnet_pipeline(bundle, std::move(sessions));
        case System::kSsMaf:
            return ss_maf_pipeline(bundle, std::move(sessions));
        case System::kMageNet:
            break;
    }
    return mage_net_pipeline(bundle, std::move(sessions));
}

}  // namespace

Pipeline::Pipeline(const Bundle& bundle, Sessions sessions)
    : manifest_(bundle.manifest()), bundle_sha256_(bundle.sha256()), sessions_(std::move(sessions)) {
    for (const auto& [name, session] : sessions_) {
        check_tensor(name, "input", manifest_.networks.at(name).input, session->input());
        check_tensor(name, "output", manifest_.networks.at(name).output, session->output());
    }
}

std::unique_ptr<Pipeline> Pipeline::open(const Bundle& bundle, const BackendOptions& options) {
    const std::string target = target_of(options);
    // Without sessions first: what does not pre-process as certified must not load a network.
    check_preprocessing(bundle, *assembled(bundle, {}));
    Sessions sessions;
    for (const auto& entry : bundle.manifest().networks) {
        const std::string& name = entry.first;
        const VariantSpec& variant = bundle.variant(name, target, options.precision);
        sessions[name] =
            open_session(options, name, bundle.network_bytes(variant), bundle.source() + ", network '" + name + "'");
    }
    return assembled(bundle, std::move(sessions));
}

std::unique_ptr<Pipeline> Pipeline::over(const Bundle& bundle, Sessions sessions) {
    for (const auto& entry : bundle.manifest().networks)
        if (sessions.count(entry.first) == 0 || sessions.size() != bundle.manifest().networks.size())
            throw_invalid_input("sessions", "other networks than the manifest's", "one session a network",
                                "see Manifest::networks");
    check_preprocessing(bundle, *assembled(bundle, {}));
    return assembled(bundle, std::move(sessions));
}

Result Pipeline::run(const ImageView& view) const {
    return run(from_view(view));
}

const std::string& Pipeline::provider() const {
    return sessions_.begin()->second->name();
}

Values<float> Pipeline::answer(const std::string& network, const Values<float>& feed, const std::vector<int64_t>& shape,
                               float low, float high) const {
    Session& session = *sessions_.at(network);
    Values<float> values = session.run(feed, shape);
    const auto& wanted = manifest_.networks.at(network).output.shape;
    const auto count = static_cast<size_t>(shape[0] * wanted[1] * wanted[2] * wanted[3]);
    bool inside = true;
    for (const float value : values) inside &= value >= low && value <= high;  // false for NaN
    if (!inside || values.size() != count)
        throw_backend_unavailable("network '" + network + "' on " + session.name(),
                                  inside ? "an answer of another size" : "values out of range, or no numbers",
                                  "values in [" + std::to_string(low) + ", " + std::to_string(high) + "]",
                                  "run `fundusrt verify` on this machine");
    return values;
}

Result Pipeline::begin(const FundusImage& eye) const {
    Result result;
    result.provider = provider();
    result.bundle_sha256 = bundle_sha256_;
    result.field_of_view_px = eye.fov_px;
    if (eye.fov_px == 0) {
        result.gradable = false;
        const bool black = std::visit(
            [](const auto& array) {
                for (const auto value : array.values)
                    if (value != 0) return false;
                return true;
            },
            eye.pixels);
        result.reason = black ? "no field of view found: the image is black"
                              : "no field of view: none stands out from its surround, or an empty one was given";
    }
    return result;
}

}  // namespace fundusrt
