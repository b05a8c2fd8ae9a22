// The manifest of a bundle, `bundle.json`: everything a runtime needs to know, as data (docs/bundle-format.md).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fundusrt {

// Name and shape of a float32 tensor; -1 is a free dimension.
struct TensorSpec {
    std::string name;
    std::vector<int64_t> shape;
};

// One exactly equal form of a network, for one runtime.
struct VariantSpec {
    std::string file;
    std::string target;
    std::string precision;
    std::string form;
    std::optional<std::string> weights;
};

struct NetworkSpec {
    std::string role;
    TensorSpec input;
    TensorSpec output;
    std::vector<VariantSpec> variants;
};

struct FileRecord {
    std::string sha256;
    uint64_t bytes = 0;
};

struct ClaheSpec {
    double clip = 2.0;
    int grid = 8;
};

// Image to network input.
struct PreprocessSpec {
    int channels = 3;
    std::optional<ClaheSpec> clahe;
    double gamma = 1.0;
    std::array<double, 3> mean{};
    std::array<double, 3> std{1.0, 1.0, 1.0};
};

enum class Rounding { kNearest, kCeil, kFloor };
enum class CgnrMode { kParallel, kRaster, kConverge };
enum class FusionOrder { kCgnrThenFuse, kFuseThenCgnr, kCgnrOnly };
enum class Interpolation { kArea, kBilinear, kCubic, kNearest };

struct TileSpec {
    int size = 512;
    Rounding round = Rounding::kNearest;
};

struct WholeImageSpec {
    int size = 512;
    Interpolation interpolation = Interpolation::kArea;
};

// Two probability maps to one mask.
struct FusionSpec {
    bool upsample_on_logit = false;
    double threshold = 0.5;
    FusionOrder order = FusionOrder::kCgnrThenFuse;
    double w_large = 0.3;
    bool cgnr_enabled = true;
    CgnrMode cgnr_mode = CgnrMode::kParallel;
};

// The frame around the field of view that a network sees.
struct FrameSpec {
    int height_px = 0;
    int width_px = 0;
    Interpolation shrink = Interpolation::kArea;
    Interpolation enlarge = Interpolation::kCubic;
    bool outside_black = true;
};

enum class System { kCmwnet, kSsMaf, kMageNet };

struct Manifest {
    std::string name;
    std::string version;
    std::string label;  // what is marked; empty for enhancement
    System system = System::kCmwnet;
    std::string system_name;
    std::string task;
    std::map<std::string, NetworkSpec> networks;
    std::map<std::string, std::string> golden;  // file by the golden vector's name
    std::string certificate;
    std::map<std::string, FileRecord> files;

    // kCmwnet
    PreprocessSpec preprocess;
    TileSpec tile;
    WholeImageSpec whole_image;
    FusionSpec fusion;

    // kSsMaf and kMageNet; `preprocess` is then the network's input: no contrast, no gamma
    bool green = false;  // the green channel is the image
    FrameSpec frame;
    Interpolation upsample = Interpolation::kBilinear;  // kSsMaf
    double threshold = 0.5;                             // kSsMaf
    bool residual = true;                               // kMageNet: add the change to the image, or `direct`

    // Hash of everything but `files`; the certificate repeats it.
    std::string content_sha256;
    // The rungs that a certificate must have.
    std::vector<std::string> needed_rungs;

    std::vector<VariantSpec> variants() const;
    // The files that the networks are made of, ONNX and weights, each once.
    std::vector<std::string> network_files() const;
    // The mask's threshold of a segmentation system.
    double mask_threshold() const { return system == System::kCmwnet ? fusion.threshold : threshold; }
};

// Parses and checks `bundle.json`. `source` names the bundle in errors. Throws Error(kBundle).
Manifest parse_manifest(const std::string& content, const std::string& source);

}  // namespace fundusrt
