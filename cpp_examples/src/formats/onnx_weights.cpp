#include "formats/onnx_weights.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "formats/format_error.hpp"
#include "formats/protobuf.hpp"
#include "fundusrt/error.hpp"

namespace fundusrt {

namespace {

enum class Kind { kModel, kTraining, kFunction, kGraph, kNode, kAttribute, kTensor, kSparseTensor };

// Which message lies in a field of another: everything that can hold a TensorProto (onnx.proto, opset 18 to 23).
const std::map<std::pair<Kind, uint32_t>, Kind> kChildren = {
    {{Kind::kModel, 7}, Kind::kGraph},
    {{Kind::kModel, 20}, Kind::kTraining},
    {{Kind::kModel, 25}, Kind::kFunction},
    {{Kind::kTraining, 1}, Kind::kGraph},
    {{Kind::kTraining, 2}, Kind::kGraph},
    {{Kind::kGraph, 1}, Kind::kNode},
    {{Kind::kGraph, 5}, Kind::kTensor},
    {{Kind::kGraph, 15}, Kind::kSparseTensor},
    {{Kind::kFunction, 7}, Kind::kNode},
    {{Kind::kFunction, 11}, Kind::kAttribute},
    {{Kind::kNode, 5}, Kind::kAttribute},
    {{Kind::kAttribute, 5}, Kind::kTensor},
    {{Kind::kAttribute, 6}, Kind::kGraph},
    {{Kind::kAttribute, 10}, Kind::kTensor},
    {{Kind::kAttribute, 11}, Kind::kGraph},
    {{Kind::kAttribute, 22}, Kind::kSparseTensor},
    {{Kind::kAttribute, 23}, Kind::kSparseTensor},
    {{Kind::kSparseTensor, 1}, Kind::kTensor},
    {{Kind::kSparseTensor, 2}, Kind::kTensor},
};

// Fields of TensorProto.
constexpr uint32_t kDims = 1, kType = 2, kName = 8, kRawData = 9, kDoc = 12, kExternalData = 13, kLocation = 14,
                   kMetadata = 16;
constexpr uint64_t kInFile = 0, kExternal = 1;
constexpr int kVarint = 0, kDelimited = 2;
constexpr int kMaxDepth = 64;
constexpr size_t kMaxRank = 16;
constexpr uint64_t kMaxModelBytes = (uint64_t{1} << 31) - 1;

// Bytes of one element by TensorProto.DataType; strings and packed types are never outside.
const std::map<uint64_t, uint64_t> kElementBytes = {{1, 4},  {2, 1},  {3, 1},  {4, 2},  {5, 2},  {6, 4},
                                                    {7, 8},  {9, 1},  {10, 2}, {11, 8}, {12, 4}, {13, 8},
                                                    {16, 2}, {17, 1}, {18, 1}, {19, 1}, {20, 1}};

void walk(std::string_view message, Kind kind, const std::string& source, int depth) {
    if (depth > kMaxDepth) throw FormatError("nested too deep");
    std::string name;
    bool external = false;
    for (const ProtoField& field : proto_fields(message)) {
        if (kind == Kind::kTensor) {
            if (field.number == kName && field.wire != kVarint) name = std::string(field.bytes);
            // A location of another wire type is no number that a reader would take for "in the file".
            external = external || field.number == kExternalData ||
                       (field.number == kLocation && (field.wire != kVarint || field.value != kInFile));
        }
        const auto child = kChildren.find({kind, field.number});
        if (child != kChildren.end() && field.wire != kVarint) walk(field.bytes, child->second, source, depth + 1);
    }
    if (external)
        throw_bundle_error(source + ", tensor '" + name + "'", "data in another file", "all data inside the ONNX file",
                           "save the model without external data");
}

[[noreturn]] void malformed(const std::string& source, const FormatError& error) {
    throw_bundle_error(source, std::string("bytes that are no ONNX model (") + error.what() + ")", "an ONNX file",
                       "export the bundle again");
}

class Inliner {
  public:
    Inliner(const std::string& name, std::string_view weights, const std::string& source)
        : name_(name), weights_(weights), source_(source) {}

    std::string model(std::string_view message) {
        std::string out;
        for (const ProtoField& part : proto_fields(message)) {
            if (part.number == 7 && part.wire == kDelimited)
                append(out, 7, graph(part.bytes));
            else
                append_unchanged(out, Kind::kModel, part);
        }
        return out;
    }

  private:
    std::string graph(std::string_view message) {
        std::string out;
        for (const ProtoField& part : proto_fields(message)) {
            std::string inside;
            if (part.number != 5 || part.wire != kDelimited)
                append_unchanged(out, Kind::kGraph, part);
            else if (tensor(part.bytes, inside))
                append(out, 5, inside);
            else
                out += part.whole;
        }
        return out;
    }

    // Writes a tensor with its data inside; false for one that has it inside already.
    bool tensor(std::string_view message, std::string& out) {
        const auto parts = proto_fields(message);
        std::vector<const ProtoField*> entries, places, names, types;
        for (const ProtoField& part : parts) {
            if (part.number == kExternalData) entries.push_back(&part);
            if (part.number == kLocation) places.push_back(&part);
            if (part.number == kName && part.wire == kDelimited) names.push_back(&part);
            if (part.number == kType && part.wire == kVarint) types.push_back(&part);
        }
        if (entries.empty() && std::all_of(places.begin(), places.end(), [](const ProtoField* place) {
                return place->wire == kVarint && place->value == kInFile;
            }))
            return false;
        const std::string label = names.size() == 1 ? std::string(names[0]->bytes) : "";
        const std::set<uint32_t> allowed = {kDims, kType, kName, kDoc, kMetadata, kExternalData, kLocation};
        bool plain = places.size() == 1 && places[0]->wire == kVarint && places[0]->value == kExternal;
        for (const ProtoField& part : parts) plain = plain && allowed.count(part.number) != 0;
        for (const ProtoField* entry : entries) plain = plain && entry->wire == kDelimited;
        if (!plain) refuse(label, "a reference beside other data", "data_location EXTERNAL and no other data");
        const auto where = reference(entries, label);
        if (types.size() != 1) throw FormatError("a tensor without one type");
        const auto element = kElementBytes.find(types[0]->value);
        if (element == kElementBytes.end())
            refuse(label, "element type " + std::to_string(types[0]->value), "a type of whole bytes");
        const std::string_view data = take(where, needed(parts, element->second), label);
        for (const ProtoField& part : parts)
            if (part.number != kExternalData && part.number != kLocation) out += part.whole;
        append(out, kRawData, data);
        return true;
    }

    std::map<std::string, std::string> reference(const std::vector<const ProtoField*>& entries,
                                                 const std::string& label) const {
        std::map<std::string, std::string> found;
        for (const ProtoField* entry : entries) {
            const auto parts = proto_fields(entry->bytes);
            std::map<uint32_t, std::string> texts;
            for (const ProtoField& part : parts) {
                if (part.wire == kVarint) throw FormatError("a number where a text belongs");
                texts[part.number] = std::string(part.bytes);
            }
            if (parts.size() != 2 || texts.count(1) == 0 || texts.count(2) == 0 || found.count(texts[1]) != 0)
                refuse(label, "a reference that says something twice, or nothing", "one key, one value");
            found[texts[1]] = texts[2];
        }
        if (found.size() != 3 || found.count("location") == 0 || found.count("offset") == 0 ||
            found.count("length") == 0)
            refuse(label, "other keys", "location, offset, length");
        return found;
    }

    static uint64_t needed(const std::vector<ProtoField>& parts, uint64_t element) {
        std::vector<uint64_t> dims;
        for (const ProtoField& part : parts) {
            if (part.number != kDims) continue;
            if (part.wire == kVarint) dims.push_back(part.value);
            if (part.wire == 1 || part.wire == 5) throw FormatError("dimensions of a fixed width");
            size_t position = 0;
            while (part.wire == kDelimited && position < part.bytes.size() && dims.size() <= kMaxRank)
                dims.push_back(proto_number(part.bytes, position));
        }
        if (dims.size() > kMaxRank) throw FormatError("a shape that no tensor has");
        uint64_t size = element;
        bool none = false;
        for (const uint64_t length : dims) {
            if (length >= uint64_t{1} << 40) throw FormatError("a shape that no tensor has");
            none = none || length == 0;
            // Beyond the largest model no range fits; the product must not wrap around.
            size = size > kMaxModelBytes || length > kMaxModelBytes ? kMaxModelBytes + 1
                                                                    : size * std::max<uint64_t>(length, 1);
        }
        return none ? 0 : size;
    }

    std::string_view take(const std::map<std::string, std::string>& where, uint64_t wanted, const std::string& label) {
        if (where.at("location") != name_)
            refuse(label, "data in '" + where.at("location").substr(0, 80) + "'", "data in '" + name_ + "'");
        const uint64_t offset = count(where.at("offset")), length = count(where.at("length"));
        if (length != wanted) refuse(label, "another length", std::to_string(wanted) + " bytes for its shape");
        if (offset > weights_.size() || length > weights_.size() - offset)
            refuse(label, "a range outside the file", "a range within " + name_);
        copied_ += length;
        if (copied_ > kMaxModelBytes) refuse(label, "too many bytes in all", "a model below 2 GiB");
        return weights_.substr(offset, length);
    }

    // A number in plain decimal digits; for anything else one that no range accepts.
    static uint64_t count(const std::string& text) {
        if (text.empty() || text.size() > 12 || text.find_first_not_of("0123456789") != std::string::npos)
            return ~uint64_t{0};
        return std::stoull(text);
    }

    void append_unchanged(std::string& out, Kind kind, const ProtoField& part) const {
        const auto child = kChildren.find({kind, part.number});
        if (child != kChildren.end() && part.wire != kVarint) walk(part.bytes, child->second, source_, 1);
        out += part.whole;
    }

    static void append(std::string& out, uint32_t number, std::string_view content) {
        append_proto_number(out, number << 3 | kDelimited);
        append_proto_number(out, content.size());
        out += content;
    }

    [[noreturn]] void refuse(const std::string& label, const std::string& got, const std::string& expected) const {
        throw_bundle_error(source_ + ", tensor '" + label + "'", got, expected, "do not use this bundle");
    }

    const std::string& name_;
    std::string_view weights_;
    const std::string& source_;
    uint64_t copied_ = 0;
};

}  // namespace

void refuse_external_data(const std::string& model, const std::string& source) {
    try {
        walk(model, Kind::kModel, source, 0);
    } catch (const FormatError& error) {
        malformed(source, error);
    }
}

std::string inline_weights(const std::string& model, const std::string& name, const std::string& weights,
                           const std::string& source) {
    try {
        return Inliner(name, weights, source).model(model);
    } catch (const FormatError& error) {
        malformed(source, error);
    }
}

}  // namespace fundusrt
